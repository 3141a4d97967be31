package hauberk

import (
	"context"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"
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
// A message of another type than the method's is an INTERNAL error too. On a server Reply
// returns it, if the method's type is known. On a client the call ends with it, since
// messages are copied into the application's. Messages that a method with server
// streaming has already delivered stay delivered; the replies follow them.
func (c *Call) Reply(msgs ...any) error {
	c.takeBackReply()
	c.fresh = true
	if err := c.checkReply(msgs); err != nil {
		c.lazy().badReply = err
		return err
	}
	c.borrowed = true
	if s, ok := c.end.(*serverStream); ok {
		s.surplus = nil
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
		return errInternal("Reply was given a nil message")
	}
	if !c.kind.ServerStreams() && len(msgs) != 1 {
		return errInternal("Reply was given %d messages for %s, which has one response", len(msgs), c.method.full)
	}
	if c.side == ServerSide {
		return c.checkTypes(msgs)
	}
	return nil // they are copied into the application's, of which the type is checked then
}

// checkTypes checks that protobuf messages are of the type that a method answers with,
// if that is known: a client would decode them into another.
func (c *Call) checkTypes(msgs []any) error {
	d := c.method.Descriptor()
	if d == nil {
		return nil
	}
	for _, msg := range msgs {
		m, ok := msg.(proto.Message)
		if want := d.Output().FullName(); ok && m.ProtoReflect().Descriptor().FullName() != want {
			return errInternal("Reply was given a %s; %s answers with %s",
				m.ProtoReflect().Descriptor().FullName(), c.method.full, want)
		}
	}
	return nil
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
// done.
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

// ReadFirst returns the first request of a method of any kind on a server, before next, as
// the hooks of outer interceptors have made it. For methods without client streaming it is
// [Call.Read]. For the others it receives the first message of the stream, once, which the
// handler then receives as its first message. The request must not be modified.
//
// ReadFirst blocks until the message has come, the client has ended its side of the stream,
// or the call's own context is done. A client that waits for the server before it sends
// anything waits in vain. If the client ends its side without a message, ReadFirst returns
// io.EOF. It fails with INTERNAL on clients, if the type of the request is not known, and if
// the handler has begun.
func (c *Call) ReadFirst(ctx context.Context) (any, error) {
	if c.side == ClientSide {
		return nil, errServerOnly("ReadFirst")
	}
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
// no one authenticates its method, whoever answered, or there is no response.
func (c *Call) checkAnswer(i int32) error {
	switch {
	case c.method.unguarded:
		return c.plan.chain.errUnguarded(c.method)
	case c.response == nil && !c.kind.ServerStreams():
		return errInternal("%s ended %s without an error and without a response: "+
			"an interceptor must call next, Reply or return an error", c.nameOf(i), c.method.full)
	default:
		return nil
	}
}

// assign copies a message into another of the same type.
func assign(dst, src any) error {
	if same(dst, src) {
		return nil
	}
	to, isProto := dst.(proto.Message)
	from, fromProto := src.(proto.Message)
	if isProto && fromProto && to.ProtoReflect().Descriptor() == from.ProtoReflect().Descriptor() {
		proto.Reset(to)
		proto.Merge(to, from)
		return nil
	}
	if !isProto && reflect.TypeOf(dst) == reflect.TypeOf(src) && isPointer(dst) && isPointer(src) {
		reflect.ValueOf(dst).Elem().Set(reflect.ValueOf(src).Elem())
		return nil
	}
	return errInternal("the message is a %T; the application wants a %T", src, dst)
}

// same reports whether two messages are one. Those of other codecs than protobuf
// need not be comparable.
func same(a, b any) bool {
	t := reflect.TypeOf(a)
	if t == nil || t != reflect.TypeOf(b) {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer:
		return a == b
	case reflect.Map:
		return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	default:
		return false
	}
}

func isPointer(msg any) bool {
	v := reflect.ValueOf(msg)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}
