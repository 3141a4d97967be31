package hauberk

import (
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/running"
)

// Side is the end of a call that a chain runs on.
type Side uint8

// The two sides.
const (
	ServerSide Side = iota
	ClientSide
)

// String returns "server" or "client".
func (s Side) String() string {
	if s == ClientSide {
		return "client"
	}
	return "server"
}

func (s Side) other() Side { return ClientSide - s }

// Kind is the kind of a method: which of its sides stream.
type Kind uint8

// The four kinds.
const (
	Unary        Kind = 0
	ClientStream Kind = 1
	ServerStream Kind = 2
	Bidi         Kind = ClientStream | ServerStream
)

// KindOf returns the kind of a method with these streaming sides.
func KindOf(clientStreams, serverStreams bool) Kind {
	k := Unary
	if clientStreams {
		k |= ClientStream
	}
	if serverStreams {
		k |= ServerStream
	}
	return k
}

// ClientStreams reports whether the client may send any number of messages.
func (k Kind) ClientStreams() bool { return k&ClientStream != 0 }

// ServerStreams reports whether the server may send any number of messages.
func (k Kind) ServerStreams() bool { return k&ServerStream != 0 }

// String returns "unary", "client_stream", "server_stream" or "bidi_stream", the
// words of go-grpc-middleware's metric labels.
func (k Kind) String() string {
	switch k {
	case ClientStream:
		return "client_stream"
	case ServerStream:
		return "server_stream"
	case Bidi:
		return "bidi_stream"
	default:
		return "unary"
	}
}

// Method is the method of a call. Methods are made once and shared by all calls of a
// chain, except unregistered ones. All of it is safe for concurrent use.
type Method struct {
	full, service, name string
	public              bool          // in Config.Public of the chain
	unguarded           bool          // on a server: neither authenticated nor public in a chain that authenticates
	forwarded           bool          // a handler that is not the chain's serves it, known or not
	stated              *MethodPolicy // of Config.Policy of the chain; nil for none

	kind     Kind
	known    bool
	describe sync.Once
	desc     protoreflect.MethodDescriptor

	drain   *drain                         // of the Server; nil for clients and other servers
	running *running.Method[*serverStream] // with drain

	readPolicy                sync.Once
	idempotent, noSideEffects bool
}

// FullName returns the name as gRPC writes it: "/shop.v1.Cart/Get".
func (m *Method) FullName() string { return m.full }

// Service returns the service's full name: "shop.v1.Cart".
func (m *Method) Service() string { return m.service }

// Name returns the name within the service: "Get".
func (m *Method) Name() string { return m.name }

// Kind returns the method's kind. On a server an unknown method has the kind [Bidi].
func (m *Method) Kind() Kind { return m.kind }

// Known reports whether the server has the method. On a client it returns true. The names
// of unknown methods come from the callers: do not keep them.
func (m *Method) Known() bool { return m.known }

// Public reports whether the method is in [Config.Public] of the chain, or public by [Config.Policy]. It does so for
// the methods that a chain passes to the functions of a [Declaration], too.
func (m *Method) Public() bool { return m.public }

// Descriptor returns the method's protobuf descriptor, or nil if the program
// does not link the generated code of its file.
func (m *Method) Descriptor() protoreflect.MethodDescriptor {
	if !m.known {
		return nil
	}
	m.describe.Do(m.findDescriptor)
	return m.desc
}

func (m *Method) findDescriptor() {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(m.service + "." + m.name))
	if err != nil {
		return
	}
	m.desc, _ = d.(protoreflect.MethodDescriptor)
}

// Options returns the method's protobuf options, including custom extensions. It returns
// an empty message if there is no descriptor. The result must not be modified.
func (m *Method) Options() *descriptorpb.MethodOptions {
	if d := m.Descriptor(); d != nil {
		if o, ok := d.Options().(*descriptorpb.MethodOptions); ok && o != nil {
			return o
		}
	}
	return noOptions
}

// Idempotent reports whether a call of the method may be executed more than once: by [Config.Policy]
// of the chain if that has the method, and else by the options of its .proto file, as
// [MethodPolicy].Idempotent says. It returns false for a method without a descriptor, and for one
// whose policy [FromDescriptors] would return an error for.
func (m *Method) Idempotent() bool {
	if m.stated != nil {
		return m.stated.Idempotent
	}
	m.readPolicy.Do(m.findIdempotent)
	return m.idempotent
}

// NoSideEffects reports whether the method changes nothing, as [Method.Idempotent] does for methods that may be
// executed more than once.
func (m *Method) NoSideEffects() bool {
	if m.stated != nil {
		return m.stated.Idempotent && m.stated.NoSideEffects
	}
	m.readPolicy.Do(m.findIdempotent)
	return m.noSideEffects
}

func (m *Method) findIdempotent() {
	if d := m.Descriptor(); d != nil {
		policy, err := policyOf(d)
		m.idempotent = err == nil && policy.Idempotent
		m.noSideEffects = m.idempotent && policy.NoSideEffects
	}
}

var noOptions = &descriptorpb.MethodOptions{} //nolint:gochecknoglobals // never written

// MethodOption returns the value of a custom option of a method, which is an extension of
// google.protobuf.MethodOptions. ok is true if the option is set and has type T.
func MethodOption[T any](m *Method, extension protoreflect.ExtensionType) (v T, ok bool) {
	if options := m.Options(); proto.HasExtension(options, extension) {
		v, ok = proto.GetExtension(options, extension).(T)
	}
	return v, ok
}

// newMethod splits a full name. Names that gRPC cannot route are an error.
func newMethod(full string, kind Kind, known bool) (*Method, error) {
	service, name, err := splitMethod(full)
	if err != nil {
		return nil, err
	}
	return &Method{full: full, service: service, name: name, kind: kind, known: known}, nil
}

func splitMethod(full string) (service, name string, err error) {
	rest, slash := strings.CutPrefix(full, "/")
	at := strings.LastIndexByte(rest, '/')
	if !slash || at <= 0 || at == len(rest)-1 {
		return "", "", fmt.Errorf("hauberk: malformed method name %q: want \"/package.Service/Method\"", full)
	}
	return rest[:at], rest[at+1:], nil
}

func kindOfStream(desc *grpc.StreamDesc) Kind {
	return KindOf(desc.ClientStreams, desc.ServerStreams)
}
