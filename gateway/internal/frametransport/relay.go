package frametransport

import (
	"context"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// relay is a call that is forwarded without a goroutine and without the handler. The readers and
// writers of the two connections run it, as the functions for the events of its two streams:
//
//	event                                what the relay does
//	the client's stream has received     moves requests to the upstream's stream
//	the upstream's stream has sent       returns credit to the client, and moves requests
//	the upstream's stream has received   moves the header, responses and the trailer to the client's stream
//	the client's stream has sent         returns credit to the upstream, and moves responses
//
// An event reports only that something has changed. The relay then moves all that it can move.
//
// # States
//
//	opening ──stream of the upstream──> forwarding ──trailer, error, reset, deadline──> over
//	   │ ^                                  │                                           ^
//	   │ └────────not processed, once───────┘                                           │
//	   └──────────error, reset, deadline────────────────────────────────────────────────┘
//
// A relay remains in the state opening while no connection to the upstream has room. Only then it
// has a goroutine, which waits for one. In the state forwarding each direction has one of two states:
//
//	moving ──data that cannot be sent at once──> blocked ──data encoded──> moving
//
// A blocked direction takes nothing from its source. The source's connection holds the data that was
// taken last until it was encoded, and only then gives credit for it. So a call holds no more than
// flow control permits.
//
// # Locks
//
// relay.mu guards all of the relay and is held while it runs. The order of locks is: Server.mu,
// relay.mu, and then one of Upstream.mu, inbound.mu with the mutex of the client's connection, and
// the mutex of either connection. The mutexes of two connections are never held at the same time:
// data is taken from one, and then given to the other. Package h2 reports events without its lock.
// Upstream.mu is not held while connections are closed, since that reports events.
type relay struct {
	server *Server

	mu        sync.Mutex // guards the following
	state     relayState
	ctx       relayContext
	method    string
	response  response   // to the client
	up        *h2.Stream // of the upstream; nil before the first one
	at        *endpoint  // of up
	begun     bool       // the response header has arrived
	answered  bool       // and a message
	requests  flow
	responses flow
	replay    replay
	patience  *patience          // nil before the first wait
	timer     *time.Timer        // of the deadline; nil if there is none
	cancel    context.CancelFunc // of the goroutine that opens; nil if there is none
}

// relayState is the state of a relay.
type relayState int

const (
	opening relayState = iota
	forwarding
	over
)

// flow is one direction of a relay.
type flow struct {
	framing

	blocked bool
	owed    int // bytes of credit to return at the end of the state blocked
	ended   bool
}

// relayContext is what the two sides need of a context.
type relayContext struct {
	deadline time.Time // zero if there is none; not written after begin
	err      error
}

func (c *relayContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *relayContext) Err() error                  { return c.err }
func (c *relayContext) Done() <-chan struct{}       { return nil }
func (c *relayContext) Value(any) any               { return nil }

// upstreamSide and clientSide receive the events of the two streams.
type (
	upstreamSide relay
	clientSide   relay
)

func (e *clientSide) Received(corks *h2.Corks) { (*relay)(e).run(corks, (*relay).clientReceived) }
func (e *clientSide) Sent()                    { (*relay)(e).run(nil, (*relay).clientSent) }
func (e *clientSide) Interrupted(err error) {
	(*relay)(e).run(nil, func(r *relay) { r.interrupted(err) })
}
func (e *upstreamSide) Received(corks *h2.Corks) { (*relay)(e).run(corks, (*relay).passResponses) }
func (e *upstreamSide) Sent()                    { (*relay)(e).run(nil, (*relay).upstreamSent) }
func (e *upstreamSide) Interrupted(error)        {} // only servers interrupt streams

// run calls f with the lock, unless the call is over.
func (r *relay) run(corks *h2.Corks, f func(r *relay)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == over {
		return
	}
	corks.Add(r.response.stream)
	if r.up != nil {
		corks.Add(r.up)
	}
	f(r)
}

// ForwardTo is [transport.DirectServer.ForwardTo].
func (s *Server) ForwardTo(up transport.Upstream, direct transport.Direct) {
	if u, ok := up.(*Upstream); ok && u.config.FirstByte <= 0 { // relays have no timer for the first byte
		s.upstream, s.direct = u, direct
	}
}

// relay forwards a call directly, or returns false if the handler must run. The reader of the
// client's connection calls it.
func (s *Server) relay(stream *h2.Stream, met func(error)) bool {
	if s.direct == nil {
		return false
	}
	fields, oversized := stream.Request()
	if oversized {
		return false
	}
	var request transport.Request
	timeout, bad := parseRequest(fields, &request)
	if bad != nil || timeout <= 0 || !s.direct.Accepts(request.Method) {
		return false
	}
	request.Fields = s.direct.RequestFields(fields)
	r := &relay{server: s, method: request.Method}
	r.response.stream, r.response.met, r.response.ctx = stream, met, &r.ctx
	r.response.kind = request.Raw.ContentType
	r.requests.limit, r.responses.limit = s.config.MessageSize, s.config.MessageSize
	s.work.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(&request, timeout)
	return true
}

// begin starts the call.
func (r *relay) begin(request *transport.Request, timeout time.Duration) {
	r.response.stream.Corks().Add(r.response.stream)
	err := r.response.stream.Direct((*clientSide)(r))
	if timeout != noTimeout {
		left := timeout - transport.Margin(timeout)
		r.ctx.deadline = time.Now().Add(left)
		r.timer = time.AfterFunc(left, func() { r.run(nil, (*relay).expire) })
	}
	if err != nil {
		r.finish(canceled())
		return
	}
	r.replay.request = request
	stream, at := r.server.upstream.tryDirect(&r.ctx, request, (*upstreamSide)(r), r.response.stream.Corks())
	if stream == nil {
		r.openLater()
		return
	}
	r.forward(stream, at)
}

// openLater waits for a stream on a separate goroutine.
func (r *relay) openLater() {
	ctx, cancel := context.WithCancel(context.Background())
	r.state, r.cancel = opening, cancel
	request := *r.replay.request
	r.server.calls.run(func() {
		defer cancel()
		stream, at, err := r.server.upstream.open(ctx, &r.ctx, request)
		opened := false
		r.run(nil, func(r *relay) {
			if r.cancel = nil; err != nil {
				r.unopened(ctx, err)
				return
			}
			opened = true
			_ = stream.Direct((*upstreamSide)(r))
			r.forward(stream, at)
			r.passResponses() // what has arrived before Direct, or the error
		})
		if err == nil && !opened {
			stream.Close()
		}
	})
}

// unopened ends a call for which no stream could be opened.
func (r *relay) unopened(ctx context.Context, err error) {
	if cause := r.replay.cause; cause != nil {
		var a answer
		a.fail(r.source(), cause)
		r.finish(a.end)
		return
	}
	r.finish(r.server.direct.Unopened(ctx, err))
}

// forward begins to forward on a stream of the upstream.
func (r *relay) forward(stream *h2.Stream, at *endpoint) {
	r.state = forwarding
	r.up, r.at = stream, at
	r.resend()
	if !r.requests.blocked {
		r.passRequests()
	}
}

// expire ends the call at its deadline.
func (r *relay) expire() {
	r.ctx.err = context.DeadlineExceeded
	r.finish(statusOfContext(r.ctx.err))
}

// interrupted ends the call because of a limit.
func (r *relay) interrupted(err error) {
	r.response.cutBy(err)
	r.finish(canceled())
}

// canceled is the status of a call that its client has ended.
func canceled() transport.Status { return statusOfContext(context.Canceled) }

// finish ends the call with a status.
func (r *relay) finish(end transport.Status) {
	r.state = over
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.patience != nil {
		r.patience.timer.Stop()
	}
	if r.cancel != nil {
		r.cancel()
	}
	if r.up != nil {
		r.up.Close()
	}
	if r.responses.blocked { // the upstream has its credit again, so that the data must not stay here
		r.response.within = true
	}
	r.response.finish(end)
	r.replay = replay{}
	r.server.work.Done()
}

// source is where the answer comes from.
func (r *relay) source() source { return source{&r.ctx, r.server.upstream, r.up, r.at} }

// fail ends the call with the status of an error of this side.
func (r *relay) fail(err error) { r.finish(statusOfError(&r.ctx, err)) }
