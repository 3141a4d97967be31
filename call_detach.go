package hauberk

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Detach returns a copy of a unary call for one next that may outlive the call: it may run on
// any goroutine, and end after Intercept has returned. Several calls can share its outcome. Call
// Detach before next, and pass the result to next with the context that Detach returns:
//
//	inside, copied, err := call.Detach(context.WithoutCancel(ctx))
//	if err != nil {
//		return err
//	}
//	go func() { outcomes <- next(inside, copied) }()
//
// The copy has the call's method and options, clones of its request and its own response, metadata,
// counts and decisions. It begins with the state of the call; state that is set later belongs to one
// of them. Hooks of outer interceptors do not see its response. [Call.Adopt] passes its outcome on.
//
// On a server Detach reads the request ([Call.Read]), and returns its error. The copy keeps the
// header and the trailer of the handler: [Call.Header] and [Call.Trailer] return them, and
// Adopt sends them. The handler's grpc.SetSendCompressor returns an error, since the response
// of a copy is not sent. On a client the copy captures the metadata ([Call.CaptureMetadata]).
//
// A panic of next is not recovered on a goroutine of the interceptor unless the chain has a
// [Guard]. Detach returns an INTERNAL error for a streaming method, for a call on a client that was begun with
// grpc.ClientConn.NewStream, in [Shadow], and after next.
func (c *Call) Detach(ctx context.Context) (inside context.Context, copied *Call, err error) {
	if c.kind != Unary {
		return nil, nil, errInternal("Call.Detach is for unary calls; %s streams", c.method.full)
	}
	if c.side == ServerSide && c.afterNext() {
		return nil, nil, errInternal("Call.Detach was called after next: a server runs its handler once")
	}
	if c.side == ServerSide {
		if _, err := c.Read(ctx); err != nil {
			return nil, nil, err
		}
	}
	d := &Call{
		plan: c.plan, method: c.method, kind: c.kind, side: c.side, request: cloneMessage(c.request),
		opts: slices.Clip(c.opts), counts: c.counts, captures: true,
	}
	if d.end, err = c.detachedEnd(); err != nil {
		return nil, nil, err
	}
	depth := c.nexts.depth()
	d.nexts.set(depth, depth)
	d.inheritValues(c)
	if c.side == ServerSide {
		d.received.Store(1)
		record := &responseRecord{method: c.method.full}
		d.lazy().record = record
		if d.lazy().handler = c.handlerOutcome(); d.lazy().handler == nil {
			d.lazy().handler = new(handlerOutcome)
		}
		ctx = grpc.NewContextWithServerTransportStream(ctx, record)
	}
	d.lazy().detached = true
	d.ctx = callContext{ctx, d}
	return &d.ctx, d, nil
}

// detachedEnd returns the terminal of a detached call.
func (c *Call) detachedEnd() (terminal, error) {
	switch end := c.end.(type) {
	case *clientUnary:
		reply, err := typeOf(end.replyFor(c)).make()
		if err != nil {
			return nil, err
		}
		return &clientUnary{cc: c.leg.connection(end.cc), invoker: end.invoker, reply: reply}, nil
	case *serverUnary:
		return &detachedUnary{end.srv, func(ctx context.Context, d *Call) (any, error) {
			return end.method.handler(end.srv, ctx, d.decodeDetached, end.own)
		}}, nil
	case *serverDecoded:
		return &detachedUnary{end.srv, func(ctx context.Context, d *Call) (any, error) {
			if err := d.acceptRequest(d.request); err != nil {
				return nil, err
			}
			d.handlerOutcome().set(ErrUnwound)
			return end.handler(ctx, d.request)
		}}, nil
	case *serverStream:
		return &detachedUnary{end.srv, func(ctx context.Context, d *Call) (any, error) {
			if err := d.acceptRequest(d.request); err != nil {
				return nil, err
			}
			d.handlerOutcome().set(ErrUnwound)
			return runDetached(ctx, d, end.srv, end.handler)
		}}, nil
	case *detachedUnary:
		return end, nil
	case *clientStream:
		return nil, errInternal("Call.Detach is for unary calls of Invoke; %s was called with NewStream", c.method.full)
	default:
		return nil, errInternal("Call.Detach was called in a dry run")
	}
}

// detachedUnary is the terminal of a detached call on a server. It is immutable.
type detachedUnary struct {
	srv any
	run func(ctx context.Context, call *Call) (any, error) // the handler, with the request of the call
}

func (u *detachedUnary) finish(ctx context.Context, call *Call) error {
	if d := call.method.drain; d != nil {
		done, ok := d.addDetached()
		if !ok {
			return errShuttingDown()
		}
		defer done()
	}
	depth := call.nexts.depth()
	response, err := u.run(ctx, call)
	if called, _ := call.Handled(); called {
		call.handlerOutcome().set(err)
	}
	return call.hold(response, err, depth)
}

func (u *detachedUnary) read(_ context.Context, call *Call) (any, error) { return call.readRequest() }

// decodeDetached copies the request into the handler's message and shows it to the hooks.
func (c *Call) decodeDetached(msg any) error {
	if err := assign(msg, c.request); err != nil {
		return err
	}
	if err := c.acceptRequest(msg); err != nil {
		return err
	}
	c.handlerOutcome().set(ErrUnwound)
	return nil
}

// handlerOutcome is what is known of the handler of a detached call.
type handlerOutcome struct {
	mu     sync.Mutex
	called bool
	err    error
}

func (h *handlerOutcome) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.called, h.err = true, err
}

func (h *handlerOutcome) get() (called bool, err error) {
	if h == nil {
		return false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.called, h.err
}

// Handled reports, on a copy that [Call.Detach] made on a server, whether the handler was called, and
// the error that it returned. The error is [ErrUnwound] if the handler has panicked or has not returned
// yet. It distinguishes the effect of a call from what inner interceptors made of its outcome: next may
// return an error although the handler has returned none. It includes a handler that runs on a copy
// which an inner interceptor has detached, or whose outcome that has adopted. On other calls called is false.
// Interceptors that grpc-go runs around the handler, such as those of grpc.ChainUnaryInterceptor, count
// as part of it. Safe for concurrent use.
func (c *Call) Handled() (called bool, err error) { return c.handlerOutcome().get() }

// handlerOutcome returns that of a detached call on a server, or nil.
func (c *Call) handlerOutcome() *handlerOutcome {
	if more := c.state().more.Load(); more != nil {
		return more.handler
	}
	return nil
}

// wasDetached reports whether the call was made by Detach.
func (c *Call) wasDetached() bool {
	if c == nil {
		return false
	}
	more := c.more.Load()
	return more != nil && more.detached
}

// adoptDetached is Adopt for the outcome of a detached call, which others may adopt as well.
func (c *Call) adoptDetached(d *Call) {
	c.response, c.borrowed = d.response, true
	c.made, c.unsent = d.made, d.unsent
	c.adoptCounts(d)
	if c.side == ServerSide {
		_ = c.SetReplyMetadata(d.Header(), d.Trailer())
		own := c.handlerOutcome()
		if called, err := d.Handled(); called && own != nil {
			own.set(err)
		}
	} else {
		in := d.captured()
		in.shared = true
		*c.keepReceived() = in
		c.lazy().wire.Store(d.takeWire())
	}
	if v := d.raised(); v != nil {
		c.raise(v)
	}
	c.adoptOwnValues(d)
	list, entries := d.recorded()
	for k, decision := range list {
		at := entries[k]
		if c.plan != d.plan {
			at = c.plan.interceptorNamed(decision.Interceptor)
		}
		c.record(at, decision)
	}
}

// takeWire returns the sizes of a detached call on a client, for a call that adopts it. They count once: further calls
// that adopt it have moved no bytes.
func (c *Call) takeWire() *Wire {
	more := c.lazy()
	w := more.wire.Load()
	if w == nil || !more.wireTaken.Swap(true) {
		return w
	}
	none := &Wire{at: w.at, side: w.side}
	none.by.Store(w.by.Load())
	return none
}

// SetReplyMetadata gives the response of a unary call a header and a trailer, for a response that
// [Call.Reply] takes from elsewhere, such as from a cache. On a server it does what
// [Call.SetHeader] and [Call.SetTrailer] do. On a client the outer interceptors
// ([Call.Header]) receive them as if they had arrived, and the options of the application
// (grpc.Header) copies. They must not be modified afterwards. It returns an INTERNAL error for a streaming method,
// and for illegal keys and values.
func (c *Call) SetReplyMetadata(header, trailer metadata.MD) error {
	if c.kind != Unary {
		return errInternal("Call.SetReplyMetadata is for unary calls; %s streams", c.method.full)
	}
	if c.side == ServerSide {
		var err error
		if len(header) > 0 {
			err = c.SetHeader(header)
		}
		if len(trailer) > 0 && err == nil {
			err = c.SetTrailer(trailer)
		}
		return err
	}
	for _, md := range []metadata.MD{header, trailer} {
		if err := validate(md); err != nil {
			return err
		}
	}
	in := c.keepReceived()
	in.header, in.trailer, in.earlier, in.shared = header, trailer, true, true
	return nil
}

// responseRecord is the transport's stream of a detached call on a server: it keeps the header
// and the trailer. Safe for concurrent use.
type responseRecord struct {
	method string

	mu              sync.Mutex
	header, trailer metadata.MD
	sent            bool
}

// Method returns the full name of the method.
func (r *responseRecord) Method() string { return r.method }

// SetHeader adds to the header.
func (r *responseRecord) SetHeader(md metadata.MD) error { return r.addHeader(md, false) }

// SendHeader adds to the header, which cannot be changed after that.
func (r *responseRecord) SendHeader(md metadata.MD) error { return r.addHeader(md, true) }

func (r *responseRecord) addHeader(md metadata.MD, last bool) error {
	if err := validate(md); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent {
		return status.Error(codes.Internal, "transport: SendHeader called multiple times")
	}
	r.header, r.sent = metadata.Join(r.header, md), last
	return nil
}

// SetTrailer adds to the trailer.
func (r *responseRecord) SetTrailer(md metadata.MD) error {
	if err := validate(md); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trailer = metadata.Join(r.trailer, md)
	return nil
}

// metadata returns what was set so far. It must not be modified.
func (r *responseRecord) metadata() (header, trailer metadata.MD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header, r.trailer
}
