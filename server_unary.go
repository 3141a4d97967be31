package hauberk

import (
	"context"
	"reflect"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// serverUnary is a unary call on a server whose request has not been read.
type serverUnary struct {
	call    Call
	srv     any
	method  *unaryMethod
	dec     func(any) error
	own     grpc.UnaryServerInterceptor
	readErr error
	begun   *Call // around the handler, once that runs: the call, or inside an adapter a copy

	receiving atomic.Bool // the request is being read, if the call counts messages
}

// unaryMethod is what the calls of a method share.
type unaryMethod struct {
	handler grpc.MethodHandler
	request reflect.Type // nil if it is not known
}

func (u *serverUnary) serve() (any, error) { return serveUnary(&u.call) }

// serveUnary runs the chain of a unary call and returns what goes to the client.
func serveUnary(call *Call) (any, error) {
	if m := call.method.running; m != nil {
		m.Add()
		defer m.Done()
	}
	if err := call.plan.serve(call, nil); err != nil {
		return nil, call.plan.toClient(call, err)
	}
	if call.response == emptyResponse {
		return nil, nil //nolint:nilnil // as the handler did
	}
	return call.response, nil
}

// emptyResponse represents the untyped nil of a handler, which grpc-go sends as an
// empty message. No hook sees it.
var emptyResponse any = struct{ emptyResponse bool }{true} //nolint:gochecknoglobals // never written

// finish runs the handler, which reads the request.
func (u *serverUnary) finish(ctx context.Context, call *Call) error {
	u.begun = call
	depth := call.nexts.depth()
	watched := u.watched(call)
	dec := u.dec
	if watched {
		dec = u.decode
	}
	response, err := u.method.handler(u.srv, ctx, dec, u.own)
	if err == nil && !watched {
		call.received.Store(1)
	}
	return call.hold(response, err, depth)
}

// watched reports whether decode has anything to do but to read.
func (u *serverUnary) watched(call *Call) bool {
	return call.counts || call.request != nil || u.readErr != nil || call.hasReceiveHooks()
}

// hold keeps the response of a handler, or of an adapter, until the chain has returned.
// depth is where that was called: if it is deeper than the chain is now, an interceptor
// outside has returned without it.
func (c *Call) hold(response any, err error, depth int32) error {
	if c.nexts.depth() < depth {
		return errReturned()
	}
	if failure := c.leg.broken(); failure != nil {
		return failure
	}
	if err != nil {
		c.endRetries(err)
		return err
	}
	c.response = response
	if response == nil {
		c.response = emptyResponse
	}
	return nil
}

func (c *Call) hasReceiveHooks() bool {
	for l := c.leg; l != nil; l = l.outer {
		if len(l.receive) > 0 {
			return true
		}
	}
	return false
}

// decode reads the request into the handler's message and shows it to the hooks.
func (u *serverUnary) decode(msg any) error {
	call := u.begun
	switch {
	case u.readErr != nil:
		return u.readErr
	case call.request != nil:
		if err := assign(msg, call.request); err != nil {
			return err
		}
	default:
		if err := u.readWire(msg); err != nil {
			return err
		}
		call.received.Store(1)
	}
	return call.acceptRequest(msg)
}

// readWire reads the request from the transport.
func (u *serverUnary) readWire(msg any) error {
	if !u.call.counts {
		return u.dec(msg)
	}
	u.receiving.Store(true)
	defer u.receiving.Store(false)
	return u.dec(msg)
}

// read reads the request before the handler does.
func (u *serverUnary) read(_ context.Context, call *Call) (any, error) {
	if call.request == nil && u.readErr == nil {
		msg, err := call.newRequest(u.method.request, u.srv, u.begun != nil)
		if err != nil {
			return nil, err
		}
		if u.readErr = u.readWire(msg); u.readErr == nil {
			call.request = msg
			call.received.Store(1)
		}
	}
	if u.readErr != nil {
		return nil, u.readErr
	}
	return call.readRequest()
}

// readRequest shows the request, which has been read, to the hooks so far.
func (c *Call) readRequest() (any, error) {
	if err := c.acceptRequest(c.request); err != nil {
		return nil, err
	}
	return c.request, nil
}

// acceptRequest shows the single request to the hooks that have not seen it.
func (c *Call) acceptRequest(msg any) error {
	if c.leg == nil {
		return nil
	}
	if err := c.leg.broken(); err != nil {
		return err
	}
	return c.acceptAt(c.leg, msg)
}

// acceptAt shows the single request to the hooks of a leg, after those outside.
func (c *Call) acceptAt(l *leg, msg any) error {
	if l.outer != nil {
		if err := c.acceptAt(l.outer, msg); err != nil {
			return err
		}
	}
	if l.seen {
		return nil
	}
	l.seen = true
	if len(l.receive) == 0 {
		return nil
	}
	err := c.asHook(func() error { return l.keepOne(l.ctx, true, msg, "request") })
	if err != nil {
		l.fail(err)
	}
	return err
}

// newRequest makes a message for the request of a method, to be read before the
// handler has begun. t is its type, or nil if that is to be found.
func (c *Call) newRequest(t reflect.Type, srv any, begun bool) (any, error) {
	m := c.method
	if begun {
		return nil, errInternal("Read was called after the handler of %s had begun; call it before next", m.full)
	}
	if d, ok := srv.(described); ok {
		return d.NewRequest()
	}
	if d := m.Descriptor(); t == nil && d != nil {
		if msg := newMessage(d.Input()); msg != nil {
			return msg, nil
		}
	}
	if t == nil {
		t = requestType(srv, m.name, m.kind)
	}
	if t == nil {
		return nil, errInternal("cannot read the request of %s before its handler: its type is not known", m.full)
	}
	return reflect.New(t).Interface(), nil
}

// newMessage makes a message of a type that is registered, or returns nil.
func newMessage(d protoreflect.MessageDescriptor) any {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil
	}
	return t.New().Interface()
}

// serverDecoded is a unary call on a server whose request was read before the
// chain, as grpc-go does for its interceptors.
type serverDecoded struct {
	call    Call
	srv     any
	handler grpc.UnaryHandler
}

// finish runs the handler.
func (u *serverDecoded) finish(ctx context.Context, call *Call) error {
	if err := call.acceptRequest(call.request); err != nil {
		return err
	}
	depth := call.nexts.depth()
	response, err := u.handler(ctx, call.request)
	return call.hold(response, err, depth)
}

func (u *serverDecoded) read(_ context.Context, call *Call) (any, error) { return call.readRequest() }

// serve runs the plan around a call on a server, and then send, unless that is nil: it
// sends what the chain left to be sent.
func (p *plan) serve(call *Call, send func() error) error {
	if p.guard != nil {
		return p.serveGuarded(call, send)
	}
	err := p.start(&call.ctx, call)
	if err == nil && send != nil {
		err = send()
	}
	return err
}

func (p *plan) serveGuarded(call *Call, send func() error) error {
	returned := false
	defer func() {
		if !returned {
			call.abort()
		}
	}()
	err := p.start(&call.ctx, call)
	if err == nil && send != nil {
		err = call.guardedLast(send)
	}
	returned = true
	return err
}

// guardedLast is guarded behind the chain, where no step notes the end of the goroutine.
func (c *Call) guardedLast(run func() error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			err = c.plan.recovered(&c.ctx, c, v)
			return
		}
		c.leaving, c.last = true, c.plan.recovered(&c.ctx, c, ErrGoexit)
	}()
	err = run()
	returned = true
	return err
}

// abort ends a call whose goroutine is ending by runtime.Goexit, so that nothing
// can be returned to grpc-go: without it the client would wait for its deadline.
func (c *Call) abort() {
	if !c.leaving {
		return // a panic that no one recovered goes on
	}
	err := c.plan.toClient(c, c.last)
	if err == nil {
		err = status.Error(codes.Internal, ErrGoexit.Error())
	}
	c.writeStatus(err)
}
