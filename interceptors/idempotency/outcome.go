package idempotency

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// outcome is the result of a call as it is kept.
type outcome struct {
	kind            kind
	status          *spb.Status // of errors
	message         proto.Message
	header, trailer metadata.MD
}

// kind is what an outcome has.
type kind byte

const (
	lost  kind = iota + 1 // nothing but that the call was executed
	ok                    // a message
	coded                 // a status
	plain                 // an error without a status, whose text only the chain may expose
)

const version = 1

// outcomeOf returns the outcome of a call that has ended with err.
func outcomeOf(message any, err error, header, trailer metadata.MD) *outcome {
	o := &outcome{kind: ok, header: header, trailer: trailer}
	if err == nil {
		m, isProto := protomessage.Of(message)
		if !isProto {
			return &outcome{kind: lost}
		}
		o.message = m
		return o
	}
	o.kind, o.status = coded, hauberk.StatusOf(err).Proto()
	o.status.Message = strings.ToValidUTF8(o.status.GetMessage(), string(utf8.RuneError)) // as grpc-go sends it
	if _, isStatus := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); !isStatus && codes.Code(o.status.GetCode()) == codes.Unknown {
		o.kind = plain
	}
	return o
}

// err returns the error of an outcome, nil for OK.
func (o *outcome) err() error {
	switch o.kind {
	case ok:
		return nil
	case plain:
		return errors.New(o.status.GetMessage())
	default:
		return status.ErrorProto(o.status)
	}
}

// encode returns the bytes of an outcome: the version, the kind, and texts that follow their lengths. If
// they are more than most, or cannot be made, it returns those of an outcome that is lost.
func (o *outcome) encode(most int) []byte {
	nothing := []byte{version, byte(lost)}
	text := []byte{version, byte(o.kind)}
	if o.kind == lost {
		return nothing
	}
	name, body := "", proto.Message(o.status)
	if o.kind == ok {
		name, body = string(o.message.ProtoReflect().Descriptor().FullName()), o.message
	}
	encoded, err := proto.MarshalOptions{AllowPartial: true}.Marshal(body)
	if err != nil {
		return nothing
	}
	text = answerkey.AppendText(answerkey.AppendText(text, name), string(encoded))
	text = appendMetadata(appendMetadata(text, o.header), o.trailer)
	if len(text) > most {
		return nothing
	}
	return text
}

func appendMetadata(text []byte, md metadata.MD) []byte {
	keys := make([]string, 0, len(md))
	n := 0
	for key, values := range md {
		keys = append(keys, key)
		n += len(values)
	}
	slices.Sort(keys)
	text = binary.AppendUvarint(text, uint64(n))
	for _, key := range keys {
		for _, v := range md[key] {
			text = answerkey.AppendText(answerkey.AppendText(text, key), v)
		}
	}
	return text
}

var errMalformed = errors.New("the outcome in the store is malformed, or of another version of this package")

// decode reads an outcome. One whose message type is not known here, and is not that of of, is lost. of is the
// descriptor of the method's response, or nil.
func decode(text []byte, of protoreflect.MessageDescriptor) (*outcome, error) {
	if len(text) < 2 || text[0] != version {
		return nil, errMalformed
	}
	o := &outcome{kind: kind(text[1])}
	if o.kind == lost {
		return o, nil
	}
	if o.kind > plain || o.kind < lost {
		return nil, errMalformed
	}
	r := reader{rest: text[2:]}
	name, body := r.text(), r.text()
	o.header, o.trailer = r.metadata(), r.metadata()
	if r.bad || len(r.rest) > 0 {
		return nil, errMalformed
	}
	if o.kind != ok {
		o.status = new(spb.Status)
		if err := proto.Unmarshal([]byte(body), o.status); err != nil || codes.Code(o.status.GetCode()) == codes.OK {
			return nil, errMalformed
		}
		return o, nil
	}
	if o.message = newMessage(protoreflect.FullName(name), of); o.message == nil {
		return &outcome{kind: lost}, nil // of a type that this process does not have
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(body), o.message); err != nil {
		return nil, errMalformed
	}
	return o, nil
}

// reader reads texts that follow their lengths.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) metadata() metadata.MD {
	n := r.number()
	if n == 0 || n > uint64(len(r.rest)) {
		r.bad = r.bad || n > 0
		return nil
	}
	md := make(metadata.MD)
	for range n {
		key := r.text()
		md[key] = append(md[key], r.text())
	}
	return md
}

// newMessage returns an empty message of a type, or nil if the type is not known. A sidecar has the types of its
// upstream only in of.
func newMessage(name protoreflect.FullName, of protoreflect.MessageDescriptor) proto.Message {
	if t, err := protoregistry.GlobalTypes.FindMessageByName(name); err == nil {
		return t.New().Interface()
	}
	if of != nil && of.FullName() == name {
		return dynamicpb.NewMessage(of)
	}
	return nil
}

// responseOf returns the descriptor of the response of a call, or nil.
func responseOf(call *hauberk.Call) protoreflect.MessageDescriptor {
	if d := call.Method().Descriptor(); d != nil {
		return d.Output()
	}
	return nil
}
