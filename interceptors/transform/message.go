package transform

import (
	"fmt"
	"reflect"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Func replaces a message with the messages that it passes to emit: none drops the
// message, several are sent in order. If it returns an error, such as one of emit, the
// call ends with the status of that.
//
// A Func may modify msg. On the side that sends, msg is a copy of the application's
// message, so that each attempt of a call starts with the same message: protobuf messages
// are cloned; others are copied deeply through their exported fields, except that pointers
// to structs with unexported fields are shared. A message must not be modified after it
// was passed to emit.
//
// The number of messages has limits. Otherwise the call ends with INTERNAL:
//   - Only the side that sends can replace one message with several: a client for
//     requests, a server for responses.
//   - The single request or response of a method that does not stream it must be
//     replaced with exactly one message.
//
// A Func runs sequentially for the messages of one direction of a call, and concurrently
// for different calls.
type Func[T any] func(call *hauberk.Call, msg T, emit func(msg T) error) error

// Requests calls f with each request of type T: a pointer to a message, such as
// *shop.GetRequest, or an interface; any matches all messages. Requests of other types
// pass unchanged.
//
// Several such options run in the order of separate interceptors, the first outermost.
func Requests[T any](f Func[T]) Option { return messages("Requests", hauberk.ServerSide, f) }

// Responses is [Requests] for responses.
func Responses[T any](f Func[T]) Option { return messages("Responses", hauberk.ClientSide, f) }

// EditRequests calls edit with each request of type T, to modify it. See [Requests].
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

// messages registers f for the messages that one side receives and the other sends.
func messages[T any](name string, receiver hauberk.Side, f Func[T]) Option {
	return option(func(x *Interceptor) {
		if f == nil {
			x.failf("the function of %s is nil", name)
		}
		if t := reflect.TypeFor[T](); t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
			x.failf("%s is for %v, which is no message; want a pointer to a message, or an interface", name, t)
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
	"transform: a function emitted several messages for a received one; it can emit one or none")

// replace assigns an emitted message to the received one.
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
			fmt.Sprintf("transform: a function emitted a %T for a received %T; want the same type", out, msg))
	}
}

func pointer(msg any) bool {
	v := reflect.ValueOf(msg)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}
