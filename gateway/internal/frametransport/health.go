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
		w := &watch{upstream: u, at: at, conn: conn}
		end := w.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if end.Code == codes.Unimplemented {
			w.report(nil)
			return
		}
		if w.answered {
			delay = minRecheck
		}
		w.report(fmt.Errorf("it ended with %s: %s", end.Code, end.Message))
		if await(ctx, nil, time.Now().Add(delay)) != nil {
			return
		}
	}
}

// watch is one call of Watch.
type watch struct {
	upstream *Upstream
	at       *endpoint
	conn     *h2.Conn

	answered bool // written with upstream.mu, on the goroutine of run
}

// run makes the call and returns its status.
func (w *watch) run(ctx context.Context) transport.Status {
	u := w.upstream
	req := transport.Request{Method: healthpb.Health_Watch_FullMethodName}
	late := time.AfterFunc(u.config.Connections.ConnectTimeout, w.late)
	defer late.Stop()
	stream, err := w.conn.Open(ctx, u.header(ctx, req))
	if err != nil {
		return statusOfError(ctx, err)
	}
	call := u.call(ctx, req, stream, w.at)
	call.final = true
	defer call.Close()
	if err := call.Send(healthRequest(u.config.Connections.HealthService)); err == nil {
		_ = call.CloseSend()
	}
	var msg transport.Message
	defer msg.Free()
	for call.Recv(&msg) == nil {
		w.report(illness(&msg))
	}
	end, _ := call.End()
	return end
}

// report sets the health that an answer or the end of the call reports.
func (w *watch) report(illness error) {
	w.upstream.mu.Lock()
	defer w.upstream.mu.Unlock()
	w.answered = true
	w.set(illness)
}

// late is called when the first answer takes longer than the connect timeout.
func (w *watch) late() {
	w.upstream.mu.Lock()
	defer w.upstream.mu.Unlock()
	if !w.answered {
		w.set(errLate)
	}
}

// set sets the health of the endpoint if the connection is the oldest one. The caller holds the
// lock.
func (w *watch) set(illness error) {
	if len(w.at.Conns) > 0 && w.at.Conns[0] == w.conn {
		w.upstream.set.SetHealth(w.at, illness)
		w.upstream.notify()
	}
}

func healthRequest(service string) *transport.Message {
	data, _ := proto.Marshal(&healthpb.HealthCheckRequest{Service: service}) // cannot fail for a string of a flag
	return &transport.Message{Data: mem.BufferSlice{mem.SliceBuffer(data)}}
}

// errLate is the illness if the first answer takes longer than the connect timeout.
var errLate = errors.New("it does not answer")

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
