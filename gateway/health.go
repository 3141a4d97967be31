package gateway

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// received is the result of receiving a request, which is in call.up or call.upDecoded if err is nil.
type received struct{ err error }

// answersHealth answers a health check of the gateway itself, and reports whether the call is one. It receives the
// request of other checks, which nextRequest then returns.
//
// It returns the error of calls whose messages cannot be decoded.
func (c *call) answersHealth(down grpc.ServerStream) (own bool, err error) {
	if c.decode != nil && c.decode.err != nil {
		return false, c.decode.err
	}
	if c.gateway.health == "" || c.request.Method != healthpb.Health_Check_FullMethodName {
		return false, nil
	}
	switch err := c.nextRequest(down); {
	case errors.Is(err, io.EOF):
		c.held = &received{err}
		return false, nil
	case err != nil:
		return false, err
	}
	if !c.checksGateway() {
		c.held = new(received)
		return false, nil
	}
	c.up.Free()
	status := healthpb.HealthCheckResponse_SERVING
	if c.gateway.Ready() != nil {
		status = healthpb.HealthCheckResponse_NOT_SERVING
	}
	return true, down.SendMsg(&healthpb.HealthCheckResponse{Status: status})
}

// checksGateway reports whether the request that was received is a health check of the gateway.
func (c *call) checksGateway() bool {
	if c.up.Compressed || c.up.Partial() {
		return false
	}
	data := c.up.Data.Materialize()
	if c.decode != nil {
		data = c.upDecoded.from.data
	}
	var request healthpb.HealthCheckRequest
	err := proto.Unmarshal(data, &request)
	return err == nil && request.GetService() == c.gateway.health
}

// nextRequest receives the next request.
func (c *call) nextRequest(down grpc.ServerStream) error {
	if held := c.held; held != nil {
		c.held = nil
		return held.err
	}
	if c.decode == nil {
		return down.RecvMsg(&c.up)
	}
	c.upDecoded = newDecoded(c.decode.method.Input())
	return down.RecvMsg(c.upDecoded)
}
