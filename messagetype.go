package hauberk

import (
	"reflect"

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
