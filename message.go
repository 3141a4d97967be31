package hauberk

import (
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageType makes messages of the type of another. It is taken from a message
// where that may be looked at, and costs no allocation.
type messageType struct {
	proto protoreflect.MessageType
	other reflect.Type
}

func typeOf(msg any) messageType {
	if m, ok := msg.(proto.Message); ok {
		return messageType{proto: m.ProtoReflect().Type()}
	}
	return messageType{other: reflect.TypeOf(msg)}
}

// make returns a new message. It fails for types other than pointers.
func (t messageType) make() (any, error) {
	if t.proto != nil {
		return t.proto.New().Interface(), nil
	}
	if t.other == nil || t.other.Kind() != reflect.Pointer {
		return nil, errInternal("cannot make a second message of type %v", t.other)
	}
	return reflect.New(t.other.Elem()).Interface(), nil
}

// cloneMessage returns a copy of a message that the application may change: a
// clone of one of protobuf, and of others a copy of what the pointer points to,
// with the elements of a slice. What is no pointer, and what grpc-go has prepared,
// is returned as it is.
func cloneMessage(msg any) any {
	switch msg := msg.(type) {
	case nil:
		return nil
	case proto.Message:
		return proto.Clone(msg)
	case *grpc.PreparedMsg:
		return msg
	}
	from := reflect.ValueOf(msg)
	if from.Kind() != reflect.Pointer || from.IsNil() {
		return msg
	}
	to := reflect.New(from.Type().Elem())
	to.Elem().Set(from.Elem())
	if from.Elem().Kind() == reflect.Slice && !from.Elem().IsNil() {
		to.Elem().Set(reflect.AppendSlice(reflect.MakeSlice(from.Elem().Type(), 0, from.Elem().Len()), from.Elem()))
	}
	return to.Interface()
}
