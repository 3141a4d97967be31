package transform

import (
	"fmt"
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Func replaces a message by what it passes to emit: it drops the message if it does
// not call emit, and sends several if it calls emit several times. An error that it
// returns, which may be one of emit, ends the call with its status.
//
// A Func may modify msg. Where messages are sent, msg is a copy of the application's
// message, so that each attempt of a call starts from the same message: protobuf
// messages are cloned; others are copied deeply through their exported fields, except
// that pointers to structs with unexported fields are shared. What was passed to emit
// must not be modified.
//
// Several messages of one can be made only where messages are sent: of requests on
// a client, of responses on a server; elsewhere it ends the call with INTERNAL, and
// so does any number but one of the single request or response of a method that
// does not stream them. A Func runs for the messages of one direction of a call
// one after the other, for calls beside each other at the same time.
type Func[T any] func(call *hauberk.Call, msg T, emit func(msg T) error) error

// Requests has f see each request that is a T: a pointer to a message,
// such as *shop.GetRequest, or an interface, of which any stands for all messages.
// Requests of other types pass.
//
// Several of these options take part as interceptors of their own would, the first
// outermost.
func Requests[T any](f Func[T]) Option { return messages("Requests", hauberk.ServerSide, f) }

// Responses is [Requests] for responses.
func Responses[T any](f Func[T]) Option { return messages("Responses", hauberk.ClientSide, f) }

// EditRequests has edit change each request that is a T; see [Requests].
func EditRequests[T any](edit func(msg T) error) Option {
	return messages("EditRequests", hauberk.ServerSide, editing(edit))
}

// EditResponses is [EditRequests] for responses.
func EditResponses[T any](edit func(msg T) error) Option {
	return messages("EditResponses", hauberk.ClientSide, editing(edit))
}

func editing[T any](edit func(msg T) error) Func[T] {
	if edit == nil {
		return nil
	}
	return func(_ *hauberk.Call, msg T, emit func(T) error) error {
		if err := edit(msg); err != nil {
			return err
		}
		return emit(msg)
	}
}

// messages registers f for the messages that a side receives, and the other sends.
func messages[T any](name string, receiver hauberk.Side, f Func[T]) Option {
	return option(func(x *Interceptor) {
		if f == nil {
			x.failf("%s was given a nil function", name)
		}
		if t := reflect.TypeFor[T](); t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
			x.failf("%s is of %v, which no message is; want a pointer to a message, or an interface", name, t)
		}
		x.hooks = append(x.hooks, func(call *hauberk.Call) {
			if call.Side() == receiver {
				call.OnReceive(receiving(call, f))
			} else {
				call.OnSend(sending(call, f))
			}
		})
	})
}

func sending[T any](call *hauberk.Call, f Func[T]) hauberk.SendHook {
	return func(msg any, emit func(any) error) error {
		m, ok := msg.(T)
		if !ok {
			return emit(msg)
		}
		return f(call, clone(m), func(out T) error { return emit(out) })
	}
}

func receiving[T any](call *hauberk.Call, f Func[T]) hauberk.ReceiveHook {
	return func(msg any) (keep bool, err error) {
		m, ok := msg.(T)
		if !ok {
			return true, nil
		}
		emitted := 0
		err = f(call, m, func(out T) error {
			emitted++
			if emitted > 1 {
				return errSeveral
			}
			return replace(m, out)
		})
		if err == nil && emitted > 1 {
			err = errSeveral
		}
		return emitted == 1, err
	}
}

var errSeveral = status.Error(codes.Internal,
	"transform: a function made several messages of one that was received; it can keep it or drop it")

// replace makes a received message what was emitted in its place.
func replace(msg, out any) error {
	to, isProto := msg.(proto.Message)
	from, fromProto := out.(proto.Message)
	switch {
	case isProto && fromProto && to.ProtoReflect().Descriptor() == from.ProtoReflect().Descriptor():
		if to != from {
			proto.Reset(to)
			proto.Merge(to, from)
		}
		return nil
	case !isProto && reflect.TypeOf(msg) == reflect.TypeOf(out) && pointer(msg) && pointer(out):
		reflect.ValueOf(msg).Elem().Set(reflect.ValueOf(out).Elem())
		return nil
	default:
		return status.Error(codes.Internal,
			fmt.Sprintf("transform: a function made a %T of a received %T; want the same type", out, msg))
	}
}

func pointer(msg any) bool {
	v := reflect.ValueOf(msg)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}
