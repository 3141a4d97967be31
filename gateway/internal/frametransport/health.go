package frametransport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// The delays between two health checks that fail. A check that got an answer begins again with
// the first.
const (
	minRecheck = time.Second
	maxRecheck = 30 * time.Second
)

// watchHealth watches the health of an endpoint on one connection until ctx ends, as gRPC does
// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). A service without health
// checks is healthy.
func (u *Upstream) watchHealth(ctx context.Context, at *endpoint, conn *h2.Conn) {
	for delay := minRecheck; ; delay = min(2*delay, maxRecheck) {
		end, answered := u.watchOnce(ctx, at, conn)
		if ctx.Err() != nil {
			return
		}
		if end.Code == codes.Unimplemented {
			u.setHealth(at, conn, nil)
			return
		}
		u.setHealth(at, conn, fmt.Errorf("it ended with %s: %s", end.Code, end.Message))
		if answered {
			delay = minRecheck
		}
		if await(ctx, nil, time.Now().Add(delay)) != nil {
			return
		}
	}
}

// setHealth reports the health that one connection has. That of the oldest connection of an
// endpoint counts.
func (u *Upstream) setHealth(at *endpoint, conn *h2.Conn, illness error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(at.Conns) > 0 && at.Conns[0] == conn {
		u.set.SetHealth(at, illness)
		u.notify()
	}
}

// watchOnce makes one call of Watch. It returns the status of the call and whether it had an
// answer.
func (u *Upstream) watchOnce(ctx context.Context, at *endpoint, conn *h2.Conn) (end transport.Status, answered bool) {
	req := transport.Request{Method: healthpb.Health_Watch_FullMethodName}
	stream, err := conn.Open(ctx, u.header(ctx, req))
	if err != nil {
		return statusOfError(ctx, err), false
	}
	call := u.call(ctx, req, stream, at)
	call.final = true
	defer call.Close()
	if err := call.Send(healthRequest(u.config.Connections.HealthService)); err == nil {
		_ = call.CloseSend()
	}
	var msg transport.Message
	defer msg.Free()
	for call.Recv(&msg) == nil {
		answered = true
		u.setHealth(at, conn, illness(&msg))
	}
	end, _ = call.End()
	return end, answered
}

func healthRequest(service string) *transport.Message {
	data, _ := proto.Marshal(&healthpb.HealthCheckRequest{Service: service}) // cannot fail for a string of a flag
	return &transport.Message{Data: mem.BufferSlice{mem.SliceBuffer(data)}}
}

// errMalformed is the illness after an answer that cannot be read.
var errMalformed = errors.New("its answer is malformed")

// illness returns nil if an answer is SERVING.
func illness(msg *transport.Message) error {
	if msg.Compressed || msg.Load() != nil {
		return errMalformed
	}
	var resp healthpb.HealthCheckResponse
	if proto.Unmarshal(msg.Data.Materialize(), &resp) != nil {
		return errMalformed
	}
	if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("it reports %s", resp.GetStatus())
	}
	return nil
}
