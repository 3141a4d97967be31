package hauberk

import (
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// messageType makes messages of the type of another. It is taken from a message
// where that may be looked at, and costs no allocation. A message of the first API of
// protobuf is made by its Go type.
type messageType struct {
	proto protoreflect.MessageType
	empty encoded // makes others
	other reflect.Type
}

func typeOf(msg any) messageType {
	if m, ok := msg.(encoded); ok {
		empty, _ := m.NewMessage().(encoded)
		return messageType{empty: empty}
	}
	if m, ok := msg.(proto.Message); ok {
		return messageType{proto: m.ProtoReflect().Type()}
	}
	return messageType{other: reflect.TypeOf(msg)}
}

// make returns a new message. It fails for types other than pointers.
func (t messageType) make() (any, error) {
	if t.empty != nil {
		return t.empty.NewMessage(), nil
	}
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
	case encoded:
		return msg.CloneMessage()
	case proto.Message:
		return proto.Clone(msg)
	case protoadapt.MessageV1:
		return protoadapt.MessageV1Of(proto.Clone(protoadapt.MessageV2Of(msg)))
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

// assign copies a message into another of the same type. Two Go types may have the messages
// of one protobuf type, such as generated code and dynamicpb.
func assign(dst, src any) error {
	if same(dst, src) {
		return nil
	}
	if to, ok := dst.(encoded); ok && to.SetMessage(src) {
		return nil
	}
	if to, ok := protomessage.Of(dst); ok {
		if from, ok := protomessage.Of(src); ok {
			return assignProto(dst, to, from)
		}
	} else if reflect.TypeOf(dst) == reflect.TypeOf(src) && isPointer(dst) && isPointer(src) {
		reflect.ValueOf(dst).Elem().Set(reflect.ValueOf(src).Elem())
		return nil
	}
	return errAnotherType(dst, src)
}

// assignable reports whether assign can copy a message into another, apart from messages of
// one protobuf type whose encoding is not valid.
func assignable(dst, src any) bool {
	to, isProto := protomessage.Of(dst)
	from, fromProto := protomessage.Of(src)
	switch {
	case same(dst, src):
		return true
	case isProto && fromProto:
		_, named := dst.(proto.Message)
		return !named || to.ProtoReflect().Descriptor().FullName() == from.ProtoReflect().Descriptor().FullName()
	default:
		return !isProto && reflect.TypeOf(dst) == reflect.TypeOf(src) && isPointer(dst) && isPointer(src)
	}
}

// assignProto copies a protobuf message into dst, which is to. The name of a message of the
// first API may be one that was derived from its Go type.
func assignProto(dst any, to, from proto.Message) error {
	toType, fromType := to.ProtoReflect().Descriptor(), from.ProtoReflect().Descriptor()
	if toType == fromType {
		resetMessage(dst, to)
		proto.Merge(to, from)
		return nil
	}
	if _, named := dst.(proto.Message); named && toType.FullName() != fromType.FullName() {
		return errAnotherType(dst, from)
	}
	encoded, err := proto.MarshalOptions{AllowPartial: true}.Marshal(from)
	if err == nil {
		err = proto.Unmarshal(encoded, to)
	}
	if err != nil {
		return errInternal("the message is a %T; as a %T it is not valid: %v", from, dst, err)
	}
	return nil
}

// resetMessage empties dst, which is m. proto.Reset would look at the fields of a message of
// the first API, which may have types that it does not know.
func resetMessage(dst any, m proto.Message) {
	if old, ok := dst.(protoadapt.MessageV1); ok {
		old.Reset()
		return
	}
	proto.Reset(m)
}

func errAnotherType(dst, src any) error {
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
