package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy"
)

// notesFile is the .proto file of a service with a method of each kind, whose messages have rules.
func notesFile() *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, options *descriptorpb.FieldOptions) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Options: options, JsonName: &name,
			Type:  descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	method := func(name string, requests, responses bool) *descriptorpb.MethodDescriptorProto {
		const note = ".notes.v1.Note"
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: new(note), OutputType: new(note),
			ClientStreaming: &requests, ServerStreaming: &responses,
		}
	}
	named := &descriptorpb.FieldOptions{}
	proto.SetExtension(named, validatepb.E_Field, validatepb.FieldRules_builder{
		String: validatepb.StringRules_builder{MinLen: new(uint64(1))}.Build(),
	}.Build())
	return &descriptorpb.FileDescriptorProto{
		Name: new("notes/v1/notes.proto"), Package: new("notes.v1"), Syntax: new("proto3"),
		Dependency: []string{"buf/validate/validate.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Note"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("name", 1, named), field("owner", 2, nil),
				field("secret", 3, &descriptorpb.FieldOptions{DebugRedact: new(true)}),
			},
		}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Notes"),
			Method: []*descriptorpb.MethodDescriptorProto{
				method("Write", false, false), method("Upload", true, false),
				method("Watch", false, true), method("Chat", true, true),
			},
		}},
	}
}

// notes is the service with its descriptors.
type notes struct {
	service protoreflect.ServiceDescriptor
	note    protoreflect.MessageDescriptor
	set     string // file with the descriptors
}

// newNotes registers the file, as generated code does, so that a service in this process has it.
func newNotes(t *testing.T) *notes {
	t.Helper()
	file := notesFile()
	d, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if known, err := protoregistry.GlobalFiles.FindFileByPath(d.Path()); err == nil {
		d = known
	} else if err := protoregistry.GlobalFiles.RegisterFile(d); err != nil {
		t.Fatal(err)
	} else if err := protoregistry.GlobalTypes.RegisterMessage(dynamicpb.NewMessageType(d.Messages().Get(0))); err != nil {
		t.Fatal(err)
	}
	n := &notes{service: d.Services().Get(0), note: d.Messages().Get(0), set: filepath.Join(t.TempDir(), "notes.binpb")}
	rules := protodesc.ToFileDescriptorProto(validatepb.File_buf_validate_validate_proto)
	set := &descriptorpb.FileDescriptorSet{}
	for i := range validatepb.File_buf_validate_validate_proto.Imports().Len() {
		imported := validatepb.File_buf_validate_validate_proto.Imports().Get(i)
		set.File = append(set.File, protodesc.ToFileDescriptorProto(imported.FileDescriptor))
	}
	set.File = append(set.File, rules, file)
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	write(t, n.set, string(raw))
	return n
}

func (n *notes) of(name, owner string) *dynamicpb.Message {
	m := dynamicpb.NewMessage(n.note)
	for field, value := range map[protoreflect.Name]string{"name": name, "owner": owner, "secret": "hunter2"} {
		m.Set(n.note.Fields().ByName(field), protoreflect.ValueOfString(value))
	}
	return m
}

// description returns the service for grpc-go: it returns each request, and the last one of a stream if there is one
// response.
func (n *notes) description() *grpc.ServiceDesc {
	desc := &grpc.ServiceDesc{ServiceName: string(n.service.FullName()), HandlerType: (*any)(nil), Metadata: "notes/v1/notes.proto"}
	for i := range n.service.Methods().Len() {
		m := n.service.Methods().Get(i)
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: string(m.Name()), ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
			Handler: func(_ any, stream grpc.ServerStream) error {
				var last *dynamicpb.Message
				for {
					note := dynamicpb.NewMessage(n.note)
					err := stream.RecvMsg(note)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						return err
					}
					if last = note; m.IsStreamingServer() {
						if err := stream.SendMsg(note); err != nil {
							return err
						}
					}
					if !m.IsStreamingClient() {
						break
					}
				}
				if m.IsStreamingServer() || last == nil {
					return nil
				}
				return stream.SendMsg(last)
			},
		})
	}
	return desc
}

// server is one of grpc-go, or of Hauberk.
type server interface {
	reflection.GRPCServer
	Serve(lis net.Listener) error
	Stop()
}

// serve serves the service until the test ends, with reflection.
func (n *notes) serve(t *testing.T, srv server) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.RegisterService(n.description(), struct{}{})
	reflection.Register(srv)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String()
}

// pythonNotes is the same service in Python. It knows neither descriptors nor types.
const pythonNotes = `
from concurrent import futures
import grpc

same = lambda request, context: request
last = lambda requests, context: list(requests)[-1]
handlers = {
    "Write": grpc.unary_unary_rpc_method_handler(same),
    "Upload": grpc.stream_unary_rpc_method_handler(last),
    "Watch": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request])),
    "Chat": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("notes.v1.Notes", handlers)])
print("listening 127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
`

// bodiesFile returns the path of a policy whose entries read messages, with a file of keys.
func bodiesFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	hash := sha256.Sum256([]byte("key-of-billing"))
	write(t, filepath.Join(dir, "keys.txt"), "billing sha256:"+hex.EncodeToString(hash[:])+"\n")
	path := filepath.Join(dir, "policy.yaml")
	text, err := os.ReadFile("../examples/policies/messages/notes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text))
	return path
}

// note is what a call of the service sends.
type note struct{ name, owner string }

// exchange makes a call and returns its responses, encoded.
func (n *notes) exchange(
	t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, key string, all []note, opts ...grpc.CallOption,
) (responses []string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), metadata.Pairs("x-api-key", key)))
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
	name := fmt.Sprintf("/%s/%s", n.service.FullName(), m.Name())
	stream, err := conn.NewStream(ctx, desc, name, append(opts, grpc.WaitForReady(true))...)
	if err != nil {
		return nil, err
	}
	for _, each := range all {
		if err := stream.SendMsg(n.of(each.name, each.owner)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	for {
		got := dynamicpb.NewMessage(n.note)
		err := stream.RecvMsg(got)
		if errors.Is(err, io.EOF) {
			return responses, nil
		}
		if err != nil {
			return responses, err
		}
		raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(got)
		responses = append(responses, string(raw))
		if !m.IsStreamingServer() {
			return responses, nil
		}
	}
}

// TestBodies: a policy with rules about messages has the same outcomes in a Go service and in sidecars in front of
// services in Go, whose descriptors are known by reflection, and in Python, with those of a file.
func TestBodies(t *testing.T) {
	n := newNotes(t)
	path := bodiesFile(t)
	p, err := policy.Load(path, policy.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	places := map[string]string{"service": n.serve(t, p.Server().NewServer())}
	inGo := n.serve(t, grpc.NewServer())
	script := filepath.Join(t.TempDir(), "notes.py")
	write(t, script, pythonNotes)
	inPython := start(t, io.Discard, "sh", "-c", fmt.Sprintf("exec %q %q >&2", must(t, "./python-env.sh"), script)).says(t, listening)
	logs := make(map[string]string)
	for _, transport := range transports {
		for name, flags := range map[string][]string{"go": {inGo}, "python": {inPython, "--descriptors", n.set}} {
			at := name + " " + transport
			logs[at] = filepath.Join(t.TempDir(), "log")
			out, err := os.Create(logs[at])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = out.Close() })
			side, address := sidecar(t, out, flags[0], append(flags[1:], "-c", path, "--transport", transport)...)
			if name == "go" {
				side.says(t, `^hauberk: the upstream has (\d+) services with \d+ methods$`)
			}
			places[at] = address
		}
	}
	const key = "key-of-billing"
	ok := note{"a", "billing"}
	for _, tt := range []struct {
		what    string
		key     string
		notes   []note
		opts    []grpc.CallOption
		streams bool // only methods with a stream of requests
		code    codes.Code
	}{
		{"allowed", key, []note{ok}, nil, false, codes.OK},
		{"compressed", key, []note{ok}, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, false, codes.OK},
		{"of another owner", key, []note{{"a", "mallory"}}, nil, false, codes.PermissionDenied},
		{"against the rules", key, []note{{"", "billing"}}, nil, false, codes.InvalidArgument},
		{"against the rules later", key, []note{ok, {"", "billing"}}, nil, true, codes.InvalidArgument},
		{"several", key, []note{ok, {"b", "billing"}}, nil, true, codes.OK},
		{"without a key", "", []note{ok}, nil, false, codes.Unauthenticated},
		{"not a message", key, []note{ok}, []grpc.CallOption{grpc.ForceCodecV2(garbage{})}, false, codes.Internal},
	} {
		for i := range n.service.Methods().Len() {
			m := n.service.Methods().Get(i)
			if tt.streams && !m.IsStreamingClient() {
				continue
			}
			outcome := func(address string) (string, []string, error) {
				conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				responses, err := n.exchange(t, conn, m, tt.key, tt.notes, tt.opts...)
				return hauberk.Reason(err), responses, err
			}
			wantReason, want, err := outcome(places["service"])
			if status.Code(err) != tt.code {
				t.Errorf("%s, %s: the service ends the call with %v; want %v", m.Name(), tt.what, err, tt.code)
			}
			for at, address := range places {
				reason, got, err := outcome(address)
				sameEnd := status.Code(err) == tt.code && reason == wantReason
				if !sameEnd || err == nil && strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%s, %s, in front of %s: %v, reason %q, %q; want %v, reason %q, %q",
						m.Name(), tt.what, at, err, reason, got, tt.code, wantReason, want)
				}
			}
		}
	}
	for at, path := range logs {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(log); !strings.Contains(text, "mallory") || strings.Contains(text, "hunter2") {
			t.Errorf("in front of %s, the log has no payloads, or secrets: %.2000s", at, text)
		}
	}
}

// garbage encodes each message as bytes that are none.
type garbage struct{}

func (garbage) Name() string { return "proto" }

func (garbage) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer("\x0a\xff")}, nil
}

func (garbage) Unmarshal(mem.BufferSlice, any) error { return nil }
