package hauberk

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// outgoing is a call on a server, as interceptors of the calls that its handler makes use it.
type outgoing Call

// Failed notes the failure of an outgoing call, which the client of the call must not retry.
func (o *outgoing) Failed(s *status.Status) {
	call := (*Call)(o).state()
	call.lazy().failures.Add(s, call.messages())
}

func (c *Call) messages() int64 { return c.sent.Load() + c.received.Load() }

// endRetries asks the client not to retry a call on a server that ends with err, if that may come from
// the failure of an outgoing call which was retried already. err is that of the handler, or of the
// chain.
//
//go:noinline // few calls fail
func (c *Call) endRetries(err error) {
	if c.side != ServerSide {
		return
	}
	s := c.state()
	more := s.more.Load()
	if more == nil || more.failures.None() {
		return // the usual case: a status is expensive
	}
	if more.failures.Pass(StatusOf(errtree.Bounded(err)), s.messages()) {
		_ = grpc.SetTrailer(c.ctx.Context, pushback.Final()) // it fails if the call is over
	}
}
