package hauberk

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Reply makes msgs the response of the call; return nil after it. It works with and
// without a call of next, also after one that failed, in all kinds and on both sides.
// Hooks of outer interceptors see the messages. A method without server streaming takes
// exactly one message. For a nil message or another number of messages, Reply returns an
// INTERNAL error, and the call ends with it.
//
// The call reads msgs until it has ended and does not modify them, so several calls may
// share the same messages. Receive hooks on a client, and interceptors of grpc-go on a
// server, receive clones. What a message of a codec other than protobuf points to is not
// cloned.
//
// A message of another type than the method's is an INTERNAL error too, which Reply
// returns if the type is known: on a server from the method's descriptor, and on a client
// from the message that the application has passed, or from the descriptor. Otherwise
// only the caller gets the error, when the message is encoded or copied. On a server,
// values other than protobuf are accepted for services without generated code, whose
// codec may encode them, and on a client for streams whose application has received
// nothing yet.
//
// Messages that a method with server streaming has already delivered stay delivered; the
// replies follow them.
func (c *Call) Reply(msgs ...any) error {
	c.takeBackReply()
	c.fresh = true
	if err := c.checkReply(msgs); err != nil {
		c.lazy().badReply = err
		return err
	}
	c.borrowed = true
	if s, ok := c.end.(*serverStream); ok {
		s.takeSurplus()
	}
	if c.kind.ServerStreams() {
		c.setReplies(msgs)
	} else {
		c.response = msgs[0]
	}
	return nil
}

func (c *Call) checkReply(msgs []any) error {
	if slices.Contains(msgs, nil) {
		return c.errReply("was given a nil message")
	}
	if !c.kind.ServerStreams() && len(msgs) != 1 {
		return c.errReply("was given %d messages for %s, which has one response", len(msgs), c.method.full)
	}
	for _, msg := range msgs {
		if want := c.wrongType(msg); want != "" {
			return c.errReply("was given a %s; %s answers with %s", nameOfType(msg), c.method.full, want)
		}
	}
	return nil
}

// errReply is what is wrong with a reply of the running interceptor.
func (c *Call) errReply(format string, args ...any) error {
	by := "Reply "
	if at := c.runningInterceptor(); at >= 0 {
		by = c.nameOf(at) + ": Reply "
	}
	return errInternal("%s"+format, append([]any{by}, args...)...)
}

// wrongType returns the name of the type that the responses of the call have, if that is
// known and msg is of another type; else "".
func (c *Call) wrongType(msg any) string {
	switch end := c.end.(type) {
	case *serverUnary:
		return c.method.wrongResponse(msg, end.srv)
	case *serverDecoded:
		return c.method.wrongResponse(msg, end.srv)
	case *detachedUnary:
		return c.method.wrongResponse(msg, end.srv)
	case *serverStream:
		return c.method.wrongResponse(msg, end.srv)
	case *clientUnary:
		if to := end.replyFor(c); !assignable(to, msg) {
			return nameOfType(to)
		}
	case *clientStream:
		return end.wrongResponse(msg)
	}
	return ""
}

// wrongResponse is wrongType on a server: a client would decode the message into another.
// srv is the implementation of the method.
func (m *Method) wrongResponse(msg, srv any) string {
	d := m.Descriptor()
	if d == nil {
		return ""
	}
	want := d.Output().FullName()
	var name protoreflect.FullName
	switch msg := msg.(type) {
	case proto.Message:
		name = msg.ProtoReflect().Descriptor().FullName()
	case protoadapt.MessageV1:
		name = protoadapt.MessageV2Of(msg).ProtoReflect().Descriptor().FullName()
	case *grpc.PreparedMsg:
		return ""
	}
	if name == want || name == "" && !implements(srv, m.name) {
		return ""
	}
	return string(want)
}

// implements reports whether the implementation of a service is one for generated code,
// which has a method of Go for each of its methods.
func implements(srv any, method string) bool {
	if srv == nil {
		return false
	}
	_, ok := reflect.TypeOf(srv).MethodByName(method)
	return ok
}

// wrongResponse is wrongType for a stream on a client.
func (s *clientStream) wrongResponse(msg any) string {
	s.mu.Lock()
	t := s.demand.message
	s.mu.Unlock()
	if t != (messageType{}) {
		if to, err := t.make(); err == nil && !assignable(to, msg) {
			return nameOfType(to)
		}
		return ""
	}
	d := s.method.Descriptor()
	if d == nil {
		return ""
	}
	want := string(d.Output().FullName())
	if _, isProto := msg.(proto.Message); isProto && nameOfType(msg) != want || !isProto && !isPointer(msg) {
		return want
	}
	return ""
}

// nameOfType names the type of a message.
func nameOfType(msg any) string {
	if m, ok := msg.(proto.Message); ok {
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return fmt.Sprintf("%T", msg)
}

// Response returns, after next, the response of a method without server streaming. It is
// nil if there is none (yet), or the method streams. It belongs to the application; use
// [Call.Reply] to answer with another.
func (c *Call) Response() any {
	if c.response == emptyResponse {
		return nil
	}
	return c.response
}

// Read returns the request of a method without client streaming, before next, after the
// hooks of outer interceptors have changed it. The request must not be modified; modify
// it in a hook. Read fails with INTERNAL on methods with client streaming.
//
// On a server Read reads the request, once. It may block until the request has arrived or
// the call's own context is done. As with a handler's RecvMsg, ctx cannot end it sooner.
// If the request cannot be read, Read returns the status of that failure, which grpc-go
// has already sent to the client. Read fails with INTERNAL if the request's type is not
// known, or if its handler has begun.
//
// On a client's stream Read waits until the application has sent the request, or ctx is
// done. After next it returns the request if an interceptor has read it before. Otherwise
// it fails with INTERNAL if the call is committed.
func (c *Call) Read(ctx context.Context) (any, error) {
	if c.kind.ClientStreams() {
		hook := "OnReceive"
		if c.side == ClientSide {
			hook = "OnSend"
		}
		return nil, errInternal("Read is for methods with a single request; %s streams its requests: use %s",
			c.method.full, hook)
	}
	if end, ok := c.end.(reader); ok {
		return end.read(ctx, c)
	}
	return c.request, nil
}

// ReadFirst returns the first request of a method of any kind, before next. For methods without
// client streaming it is [Call.Read]. For the others it is the first message of the stream. The
// request must not be modified. An application that waits for the other side before it sends
// anything waits in vain.
//
// On a server ReadFirst receives the message, once, as the hooks of outer interceptors have made
// it; the handler then receives it as its first message. ReadFirst blocks until the message has
// come, the client has ended its side of the stream, or the call's own context is done. If the
// client ends its side without a message, ReadFirst returns io.EOF. If an inner interceptor drops
// a message that ReadFirst returned, the call ends with INVALID_ARGUMENT and
// [ReasonFirstDropped]: an interceptor that decides by the first message has decided by the one
// that the handler receives. An adapted interceptor of grpc-go must pass the first message on
// before it receives the second. ReadFirst fails with INTERNAL if the type of the request is not
// known, and if the handler has begun.
//
// On a client's stream of requests ReadFirst returns a copy of the message as the application has
// passed it: hooks see it later, for each attempt. NewStream returns without a stream of the
// transport, and the first SendMsg waits until the chain has decided. ReadFirst blocks until the
// application has sent the message, or ctx is done. It returns io.EOF if the application closes its
// side without one. Later calls return the same message. ReadFirst fails with INTERNAL if it is
// called for the first time after an attempt was opened, and in [Shadow], where it would change
// when the stream is opened.
func (c *Call) ReadFirst(ctx context.Context) (any, error) {
	if end, ok := c.end.(reader); ok {
		return end.read(ctx, c)
	}
	return c.request, nil
}

// reader is a terminal whose call may begin before its request is there: on a
// server, and in a client's stream.
type reader interface {
	read(ctx context.Context, call *Call) (any, error)
}

// ownHeld replaces what is held, if it belongs to the interceptor that replied, by clones
// that may be modified.
func (c *Call) ownHeld() {
	if !c.borrowed {
		return
	}
	c.borrowed = false
	c.response = cloneMessage(c.response)
	if held := c.heldReplies(); len(held) > 0 {
		owned := make([]any, len(held))
		for i, msg := range held {
			owned[i] = cloneMessage(msg)
		}
		c.setReplies(owned)
	}
}

// takeBackReply forgets a reply of an interceptor that then called next.
func (c *Call) takeBackReply() {
	c.response, c.borrowed = nil, false
	c.takeReplies()
	_ = c.leaveReply(nil)
}

// leaveReply ends the time in which an interceptor may take its reply back, and returns
// err, or else what was wrong with the reply.
func (c *Call) leaveReply(err error) error {
	c.fresh = false
	more := c.more.Load()
	if more == nil {
		return err
	}
	if err == nil {
		err = more.badReply
	}
	more.badReply = nil
	return err
}

// setReplies holds replies of a method with server streaming, in place of others.
func (c *Call) setReplies(msgs []any) {
	if len(msgs) == 0 && c.more.Load() == nil {
		return
	}
	more := c.lazy()
	more.replies = msgs
	more.replied.Store(int32(len(msgs)))
}

// replied returns how many replies of a method with server streaming are held. Safe for
// concurrent use.
func (c *Call) replied() int64 {
	if more := c.more.Load(); more != nil {
		return int64(more.replied.Load())
	}
	return 0
}

func (c *Call) heldReplies() []any {
	if more := c.more.Load(); more != nil {
		return more.replies
	}
	return nil
}

// takeReplies empties the list of replies.
func (c *Call) takeReplies() []any {
	replies := c.heldReplies()
	c.setReplies(nil)
	return replies
}

// checkAnswer returns what is wrong with a call that the next at place i would end as OK:
// no one authenticates its method, or there is no response.
func (c *Call) checkAnswer(i int32) error {
	switch {
	case c.method.unguarded:
		return c.errUnguarded()
	case c.response == nil && !c.kind.ServerStreams():
		return errInternal("%s ended %s without an error and without a response: "+
			"an interceptor must call next, Reply or return an error", c.nameOf(i), c.method.full)
	default:
		return nil
	}
}
