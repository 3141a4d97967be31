package hauberk_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// methodOf returns the method that an interceptor sees in calls of a method.
func methodOf(t *testing.T, c hauberktest.Case, full string) *hauberk.Method {
	t.Helper()
	seen := make(chan *hauberk.Method, 1)
	env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		seen <- call.Method()
		return next(ctx, call)
	}))
	_ = env.Do(t.Context(), full, []*testpb.Request{{}})
	return <-seen
}

func TestMethod(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		full := hauberktest.FullMethod(c.Kind)
		m := methodOf(t, c, full)
		if m.FullName() != full || "/"+m.Service()+"/"+m.Name() != full || m.Service() != testService {
			t.Errorf("names %s, %s, %s", m.FullName(), m.Service(), m.Name())
		}
		if m.Kind() != c.Kind || !m.Known() {
			t.Errorf("kind %s, known %t", m.Kind(), m.Known())
		}
		d := m.Descriptor()
		if d == nil || string(d.FullName()) != testService+"."+m.Name() {
			t.Fatalf("descriptor %v", d)
		}
		if kind := hauberk.KindOf(d.IsStreamingClient(), d.IsStreamingServer()); kind != c.Kind {
			t.Errorf("the descriptor's kind is %s", kind)
		}
		if o := m.Options(); o == nil || o.IdempotencyLevel != nil || o.GetDeprecated() {
			t.Errorf("options of a method that has none: %v", o)
		}
	})
}

// TestMethodIsInterned makes concurrent calls that share their method.
func TestMethodIsInterned(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(chan *hauberk.Method, 3)
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			seen <- call.Method()
			return next(ctx, call)
		}))
		for range 3 {
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
		}
		if a, b, c := <-seen, <-seen, <-seen; a != b || b != c {
			t.Errorf("three calls have methods %p, %p and %p", a, b, c)
		}
	})
}

func TestUnknownMethod(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		m := methodOf(t, c, "/a/b.C/Nothing")
		onServer := c.Side == hauberk.ServerSide
		if m.FullName() != "/a/b.C/Nothing" || m.Service() != "a/b.C" || m.Name() != "Nothing" || m.Known() == onServer {
			t.Errorf("names %s, %s, %s; known %t", m.FullName(), m.Service(), m.Name(), m.Known())
		}
		if onServer && m.Kind() != hauberk.Bidi || !onServer && m.Kind() != c.Kind {
			t.Errorf("kind %s", m.Kind())
		}
		if m.Descriptor() != nil || m.Options() == nil || proto.Size(m.Options()) != 0 {
			t.Errorf("descriptor %v, options %v", m.Descriptor(), m.Options())
		}
		if !onServer {
			return
		}
		// A name from outside is not looked up, even if the program links it.
		if m := methodOf(t, c, healthpb.Health_Check_FullMethodName); m.Known() || m.Descriptor() != nil {
			t.Errorf("descriptor %v", m.Descriptor())
		}
	})
}

// TestMalformedMethods: a name that gRPC cannot route is the server's to answer, as
// on bare grpc-go. The chain of the client runs.
func TestMalformedMethods(t *testing.T) {
	for _, kind := range allKinds {
		var ran []string
		cell := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		bare := cell.Start(t)
		env := cell.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ran = append(ran, call.Method().FullName())
			return next(ctx, call)
		}))
		names := []string{"", "/", "//", "Unary", "hauberk.test.v1.TestService/Unary", "/Unary", "/a.B/", "//Unary"}
		for _, name := range names {
			var told error
			out := env.Do(t.Context(), name, []*testpb.Request{{}}, grpc.OnFinish(func(err error) { told = err }))
			if hauberk.CodeOf(told) != hauberk.CodeOf(out.Err) {
				t.Errorf("%q: OnFinish got %v of %v", name, told, out.Err)
			}
			want := hauberk.StatusOf(bare.Do(t.Context(), name, []*testpb.Request{{}}).Err)
			wantStatus(t, hauberk.StatusOf(out.Err), want.Code(), want.Message())
		}
		if !slices.Equal(ran, names) {
			t.Errorf("the chain ran for %q, want %q", ran, names)
		}
	}
}

// custom registers, at run time, a file with a service whose methods have options:
//
//	extend google.protobuf.MethodOptions {
//	  optional string rule = 51001;
//	  repeated int32 cost = 51002;
//	}
//	service Options {
//	  rpc Both(Empty) returns (Empty) { option idempotency_level = IDEMPOTENT; option (rule) = "any"; option (cost) = 3; … }
//	  rpc None(Empty) returns (Empty);
//	}
func custom(t *testing.T) (rule, cost protoreflect.ExtensionType) {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{
		Name: new("hauberk/test/options.proto"), Package: new("hauberk.test.options"),
		Syntax: new("proto3"), Dependency: []string{"google/protobuf/descriptor.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Empty")}},
		Extension: []*descriptorpb.FieldDescriptorProto{
			{
				Name: new("rule"), Number: proto.Int32(51001), Extendee: new(".google.protobuf.MethodOptions"),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				Proto3Optional: new(true),
			},
			{
				Name: new("cost"), Number: proto.Int32(51002), Extendee: new(".google.protobuf.MethodOptions"),
				Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(),
			},
		},
	}
	bare, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	rule = dynamicpb.NewExtensionType(bare.Extensions().ByName("rule"))
	cost = dynamicpb.NewExtensionType(bare.Extensions().ByName("cost"))

	options := &descriptorpb.MethodOptions{IdempotencyLevel: descriptorpb.MethodOptions_IDEMPOTENT.Enum()}
	proto.SetExtension(options, rule, "any")
	method := func(name string, options *descriptorpb.MethodOptions) *descriptorpb.MethodDescriptorProto {
		empty := new(".hauberk.test.options.Empty")
		return &descriptorpb.MethodDescriptorProto{Name: new(name), InputType: empty, OutputType: empty, Options: options}
	}
	file.Service = []*descriptorpb.ServiceDescriptorProto{{
		Name: new("Options"), Method: []*descriptorpb.MethodDescriptorProto{method("Both", options), method("None", nil)},
	}}
	full, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protoregistry.GlobalFiles.FindFileByPath(full.Path()); err != nil { // -count > 1 registers once
		if err := protoregistry.GlobalFiles.RegisterFile(full); err != nil {
			t.Fatal(err)
		}
	}
	return rule, cost
}

func TestMethodOption(t *testing.T) {
	rule, cost := custom(t)
	cell := hauberktest.Case{Side: hauberk.ClientSide}
	both := methodOf(t, cell, "/hauberk.test.options.Options/Both")
	if got := both.Options().GetIdempotencyLevel(); got != descriptorpb.MethodOptions_IDEMPOTENT {
		t.Errorf("idempotency level %s", got)
	}
	if got, ok := hauberk.MethodOption[string](both, rule); got != "any" || !ok {
		t.Errorf("rule is %q, %t", got, ok)
	}
	if got, ok := hauberk.MethodOption[protoreflect.List](both, cost); ok {
		t.Errorf("cost, which is not set, is %v", got)
	}
	if got, ok := hauberk.MethodOption[int](both, rule); got != 0 || ok {
		t.Errorf("rule as an int is %d, %t", got, ok)
	}
	none := methodOf(t, cell, "/hauberk.test.options.Options/None")
	if got, ok := hauberk.MethodOption[string](none, rule); got != "" || ok || none.Descriptor() == nil {
		t.Errorf("rule of a method without options is %q, %t", got, ok)
	}
	unknown := methodOf(t, cell, "/hauberk.test.options.Options/Unknown")
	if got, ok := hauberk.MethodOption[string](unknown, rule); got != "" || ok || unknown.Descriptor() != nil {
		t.Errorf("rule of a method that no file has is %q, %t", got, ok)
	}
}

// TestDescriptorOfAnotherThing names a message where a method should be.
// idempotency returns what Idempotent reports for a method in a client's chain with a policy.
func idempotency(t *testing.T, policy *hauberk.DescriptorPolicy, full, sentTo string) (idempotent bool) {
	t.Helper()
	chain := hauberk.Must(hauberk.Config{Policy: policy}.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if err := call.SetMethod(sentTo); err != nil {
				return err
			}
			return next(ctx, call)
		}),
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			idempotent = call.Method().Idempotent()
			return next(ctx, call)
		}),
	))
	_ = chain.ClientConn(hauberktest.Conn{}).Invoke(t.Context(), full, &testpb.Request{}, &testpb.Response{})
	return idempotent
}

// TestIdempotent: a method is idempotent if FromDescriptors says so, and if the policy of the chain
// says so for those that it has.
func TestIdempotent(t *testing.T) {
	stated, err := hauberk.FromRegistry("hauberk.policy.test.v1.Cart", "hauberk.policy.test.v1.Plain")
	if err != nil {
		t.Fatal(err)
	}
	turned := &hauberk.DescriptorPolicy{}
	for i := range stated.Methods {
		m := &stated.Methods[i]
		turned.Methods = append(turned.Methods, hauberk.MethodPolicy{Method: m.Method, Idempotent: !m.Idempotent})
		if got := idempotency(t, nil, "/"+m.Method, "/"+m.Method); got != m.Idempotent {
			t.Errorf("%s: idempotent %t; want %t", m.Method, got, m.Idempotent)
		}
	}
	for _, m := range turned.Methods {
		for _, full := range []string{"/" + m.Method, "/a.B/C"} {
			if got := idempotency(t, turned, full, "/"+m.Method); got != m.Idempotent {
				t.Errorf("%s, called as %s: idempotent %t; want %t by the policy of the chain", m.Method, full, got, m.Idempotent)
			}
		}
	}
	if idempotency(t, nil, "/a.B/C", "/a.B/C") || idempotency(t, turned, "/a.B/C", "/a.B/C") {
		t.Error("a method without a descriptor is idempotent")
	}
}

func TestDescriptorOfAnotherThing(t *testing.T) {
	m := methodOf(t, hauberktest.Case{Side: hauberk.ClientSide}, "/hauberk.test.v1/Request")
	if m.Descriptor() != nil {
		t.Errorf("descriptor %v", m.Descriptor())
	}
}

func TestKindAndSide(t *testing.T) {
	for _, c := range []struct {
		kind             hauberk.Kind
		clients, servers bool
		name             string
	}{
		{hauberk.Unary, false, false, "unary"},
		{hauberk.ClientStream, true, false, "client_stream"},
		{hauberk.ServerStream, false, true, "server_stream"},
		{hauberk.Bidi, true, true, "bidi_stream"},
	} {
		if c.kind.ClientStreams() != c.clients || c.kind.ServerStreams() != c.servers || c.kind.String() != c.name ||
			hauberk.KindOf(c.clients, c.servers) != c.kind {
			t.Errorf("kind %s streams: %t, %t", c.kind, c.kind.ClientStreams(), c.kind.ServerStreams())
		}
	}
	if got := fmt.Sprint(hauberk.ServerSide, hauberk.ClientSide); got != "server client" {
		t.Errorf("sides are called %q", got)
	}
}
