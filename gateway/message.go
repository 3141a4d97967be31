package gateway

import (
	"bytes"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Message is a message as hooks receive it if it is not decoded: its bytes, as the sender encoded them. It is
// valid until the hook returns.
type Message = transport.Message

// decoded is a message as hooks receive it if it is decoded. It keeps the bytes that it was received as, and is
// forwarded as those unless it was changed.
type decoded struct {
	*dynamicpb.Message

	from unpacked
}

// unpacked is a message as it was received. It is never modified.
type unpacked struct {
	received []byte // nil if the message was not received
	encoding string // the compression of received; "" if it is not compressed
	data     []byte // received after decompression
}

func newDecoded(of protoreflect.MessageDescriptor) *decoded {
	return &decoded{Message: dynamicpb.NewMessage(of)}
}

// decode makes the message that of msg, which it frees. encoding is the compression of its side, and limit the largest
// size after decompression.
func (d *decoded) decode(msg *Message, encoding string, limit int, side receiving) (err error) {
	if d.from, err = unpack(msg, encoding, limit, side); err != nil {
		return err
	}
	return unmarshal(d.from.data, d.Message, side)
}

// unpack decompresses a message, which it frees.
func unpack(msg *Message, encoding string, limit int, side receiving) (u unpacked, err error) {
	defer msg.Free()
	if err := msg.Load(); err != nil {
		return u, err
	}
	u = unpacked{received: msg.Data.Materialize()}
	if u.data = u.received; msg.Compressed {
		u.encoding = encoding
		u.data, err = decompress(u.received, encoding, limit, side)
	}
	return u, err
}

// unmarshal decodes a message. It fails with the code of grpc-go.
func unmarshal(data []byte, to proto.Message, side receiving) error {
	if err := proto.Unmarshal(data, to); err != nil {
		return status.Errorf(codes.Internal, "gateway: a %s cannot be decoded as a %s: %v",
			side, to.ProtoReflect().Descriptor().FullName(), err)
	}
	return nil
}

// encode returns what is sent: the bytes that were received, or, if the message was changed, its encoding. A message
// that another call has received is sent without compression unless the call has the same one.
func (d *decoded) encode(what, encoding string) (*Message, error) {
	switch {
	case d.from.received == nil || d.changed():
		return encodedProto(d.Message, what)
	case d.from.encoding != "" && d.from.encoding == encoding:
		return &Message{Data: mem.BufferSlice{mem.SliceBuffer(d.from.received)}, Compressed: true}, nil
	default:
		return &Message{Data: mem.BufferSlice{mem.SliceBuffer(d.from.data)}}, nil
	}
}

// changed reports whether the message differs from the one that was received.
func (d *decoded) changed() bool {
	if proto.Size(d.Message) == len(d.from.data) {
		now, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(d.Message)
		if err == nil && bytes.Equal(now, d.from.data) {
			return false // most senders write fields in this order
		}
	}
	before := dynamicpb.NewMessage(d.Descriptor())
	return proto.Unmarshal(d.from.data, before) != nil || !proto.Equal(before, d.Message)
}

// Reset empties the message.
func (d *decoded) Reset() {
	d.Message.Reset()
	d.from = unpacked{}
}

// NewMessage returns an empty message of the same type.
func (d *decoded) NewMessage() any { return newDecoded(d.Descriptor()) }

// CloneMessage returns a copy, which shares the bytes that were received.
func (d *decoded) CloneMessage() any {
	clone, _ := proto.Clone(d.Message).(*dynamicpb.Message)
	return &decoded{clone, d.from}
}

// SetMessage makes the message a copy of another one of its type.
func (d *decoded) SetMessage(from any) bool {
	other, ok := from.(*decoded)
	if !ok || other.Descriptor() != d.Descriptor() {
		return false
	}
	d.Message, _ = proto.Clone(other.Message).(*dynamicpb.Message)
	d.from = other.from
	return true
}

// ReplayCopy returns a copy of the message and its size, for calls that may be repeated.
func (d *decoded) ReplayCopy() (clone any, size int) { return d.CloneMessage(), d.Len() }

// Len returns the size of the message and of what it was received as, in bytes.
func (d *decoded) Len() int { return proto.Size(d.Message) + len(d.from.received) }

// encoded returns what is sent for msg: a message that is forwarded, or one that an interceptor has made. what names
// the latter in errors. encoding is the compression of messages that the header of the call announces.
func encoded(msg any, what, encoding string) (*Message, error) {
	switch msg := msg.(type) {
	case *Message:
		return msg, nil
	case *decoded:
		return msg.encode(what, encoding)
	case proto.Message:
		return encodedProto(msg, what)
	default:
		return nil, status.Errorf(codes.Internal,
			"gateway: an interceptor sent a %T; want a protobuf message or a *gateway.Message", msg)
	}
}

func encodedProto(msg proto.Message, what string) (*Message, error) {
	raw, err := proto.Marshal(msg)
	if err != nil {
		return nil, status.Errorf(codes.Internal,
			"gateway: the %s of an interceptor cannot be encoded: %v", what, err)
	}
	return &Message{Data: mem.BufferSlice{mem.SliceBuffer(raw)}}, nil
}
