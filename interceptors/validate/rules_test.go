package validate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

func checkService() protoreflect.ServiceDescriptor {
	return checkpb.File_interceptors_validate_internal_checkpb_check_proto.Services().ByName("CheckService")
}

// hauberk.New reports each error of the configuration.
func TestConfigErrors(t *testing.T) {
	answer := func(*hauberk.Call, *hauberk.Rejection) ([]any, error) { return nil, nil }
	for want, x := range map[string]*validate.Interceptor{
		"a zero validate.Interceptor":               {},
		"Config.Invalid is 3":                       validate.New(validate.Config{Invalid: 3}),
		"Config.Invalid is Answer; want":            validate.New(validate.Config{Invalid: validate.Answer}),
		"Config.Invalid is Drop; want":              validate.New(validate.Config{Invalid: validate.Drop}, validate.WithAnswer(answer)),
		"Config.MaxViolations is -1":                validate.New(validate.Config{MaxViolations: -1}),
		"Config.MaxViolations is 1001":              validate.New(validate.Config{MaxViolations: 1001}),
		"Config.MaxTypes is -1":                     validate.New(validate.Config{MaxTypes: -1}),
		`Config.Except has "Cart.Get"`:              validate.New(validate.Config{Except: []string{"Cart.Get"}}),
		`Config.ExceptMessages has "shop.v1.Typo"`:  validate.New(validate.Config{ExceptMessages: []string{"shop.v1.Typo"}}),
		`Config.ExceptMessages has "a/b"`:           validate.New(validate.Config{ExceptMessages: []string{"a/b"}}),
		"option 1 of New is nil":                    validate.New(validate.Config{}, nil),
		"WithAnswer was given a nil function":       validate.New(validate.Config{}, validate.WithAnswer(nil)),
		"WithLogger was given a nil logger":         validate.New(validate.Config{}, validate.WithLogger(nil)),
		"WithValidator was given a nil validator":   validate.New(validate.Config{}, validate.WithValidator(nil)),
		"service 2 of WithServices is nil":          validate.New(validate.Config{}, validate.WithServices(checkService(), nil)),
		"the rules of hauberk.validate.test.v1.Unc": validate.New(validate.Config{}, validate.WithServices(checkService())),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("hauberk.New returned %v; want %q", err, want)
		}
	}
	if got := fmt.Sprint(validate.End, validate.Drop, validate.Answer, validate.Action(9)); got != "End Drop Answer Action(9)" {
		t.Errorf("the actions are %s", got)
	}
}

// WithServices compiles the rules of all messages, but for those of excepted methods.
func TestWithServices(t *testing.T) {
	config := validate.Config{Except: []string{"hauberk.validate.test.v1.CheckService/Compile"}}
	if _, err := hauberk.New(validate.New(config, validate.WithServices(checkService()))); err != nil {
		t.Error(err)
	}
	err := validate.New(validate.Config{}, validate.WithServices(checkService())).Declare().Err
	var compiler *protovalidate.CompilationError
	if !errors.Is(err, validate.ErrRules) || !errors.As(err, &compiler) ||
		!strings.Contains(err.Error(), "CheckService.Compile") {
		t.Errorf("the error is %v; want that of the compiler, and the method", err)
	}
}

// A message whose part has rules that do not compile ends the first call and each other with
// INTERNAL, also if it does not have the part. The error is logged once and not sent.
func TestNotCompiled(t *testing.T) {
	var log bytes.Buffer
	x := validate.New(validate.Config{}, validate.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	e := start(t, hauberktest.Case{}, x)
	for _, req := range []*checkpb.Uncompilable{{}, {Part: &checkpb.Broken{Text: "a"}}} {
		_, err := e.client.Compile(t.Context(), req)
		want(t, err, codes.Internal, validate.ReasonNotCompiled)
		if m := hauberk.StatusOf(err).Message(); m != "The message could not be validated" {
			t.Errorf("the message is %q", m)
		}
		if inner := <-e.outcomes; !errors.Is(inner, validate.ErrRules) || !strings.Contains(hauberk.RejectionOf(inner).Cause.Error(), "does not support field selection") {
			t.Errorf("the chain ended with %v and the cause %v", inner, hauberk.RejectionOf(inner).Cause)
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "message=hauberk.validate.test.v1.Uncompilable") {
		t.Errorf("the log is %q; want one record", log.String())
	}
}

// A rule that fails ends the call with INTERNAL. The cause is not sent.
func TestNotEvaluated(t *testing.T) {
	for _, action := range []validate.Action{validate.End, validate.Drop} {
		e := start(t, hauberktest.Case{}, validate.New(validate.Config{Invalid: action}))
		_, err := e.client.Evaluate(t.Context(), &checkpb.Unevaluable{Numbers: map[string]int32{"a": 1}})
		want(t, err, codes.Internal, validate.ReasonNotEvaluated)
		if inner := <-e.outcomes; !errors.Is(inner, validate.ErrRules) || !strings.Contains(hauberk.RejectionOf(inner).Cause.Error(), "no such key") {
			t.Errorf("the chain ended with %v, without the cause", inner)
		}
	}
}

// throughServer makes a unary call with a request through an interceptor on a server, without a
// network.
func throughServer(t testing.TB, x hauberk.Interceptor, msg any) error {
	t.Helper()
	chain := hauberk.Must(hauberk.New(x))
	info := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	_, err := chain.UnaryServerInterceptor()(t.Context(), msg, info, func(context.Context, any) (any, error) {
		return &checkpb.Receipt{Id: "a"}, nil
	})
	return err
}

// v1 is a message of the first Go API of protobuf.
type v1 struct {
	ID string `protobuf:"bytes,1,opt,name=id,proto3"`
}

func (m *v1) Reset()         { *m = v1{} }
func (m *v1) String() string { return m.ID }
func (m *v1) ProtoMessage()  {}

// Messages of other codecs pass, or end the call with Strict. Messages of the first Go API of
// protobuf have no rules, and pass.
func TestNotProtobuf(t *testing.T) {
	for _, strict := range []bool{false, true} {
		x := validate.New(validate.Config{Strict: strict})
		for _, msg := range []any{&struct{ Name string }{"a"}, "text", &grpc.PreparedMsg{}} {
			err := throughServer(t, x, msg)
			if !strict && err != nil {
				t.Errorf("a %T ended with %v", msg, err)
			}
			if strict {
				want(t, err, codes.Internal, validate.ReasonNotProtobuf)
				if !errors.Is(err, validate.ErrNotProtobuf) {
					t.Errorf("%v is not ErrNotProtobuf", err)
				}
			}
		}
		if err := throughServer(t, x, &v1{ID: "a"}); err != nil {
			t.Errorf("a message of the first API ended with %v", err)
		}
	}
}

// Messages of descriptors that are made while the program runs are validated, and at most
// MaxTypes types are kept: this descriptor's rules are compiled again after others.
func TestDynamicTypes(t *testing.T) {
	x := validate.New(validate.Config{MaxTypes: 2})
	file := protodesc.ToFileDescriptorProto(checkpb.File_interceptors_validate_internal_checkpb_check_proto)
	invalid := func() proto.Message {
		fresh, err := protodesc.NewFile(proto.CloneOf(file), protoregistry.GlobalFiles)
		if err != nil {
			t.Fatal(err)
		}
		return dynamicpb.NewMessage(fresh.Messages().ByName("Receipt"))
	}
	first := invalid()
	for range 10 {
		want(t, throughServer(t, x, invalid()), codes.InvalidArgument, validate.ReasonInvalidRequest)
		want(t, throughServer(t, x, first), codes.InvalidArgument, validate.ReasonInvalidRequest)
		want(t, throughServer(t, x, &checkpb.Receipt{}), codes.InvalidArgument, validate.ReasonInvalidRequest)
		if err := throughServer(t, x, &checkpb.Receipt{Id: "a"}); err != nil {
			t.Error(err)
		}
	}
}

// An interceptor validates concurrently, while types are compiled and discarded.
func TestConcurrent(t *testing.T) {
	var log bytes.Buffer
	x := validate.New(validate.Config{MaxTypes: 1}, validate.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 10 {
				msg, code := proto.Message(&checkpb.Receipt{}), codes.InvalidArgument
				if i%2 == 0 {
					msg, code = &checkpb.Order{Id: "a"}, codes.OK
				}
				if i%4 == 3 {
					msg, code = &checkpb.Broken{}, codes.Internal
				}
				if err := throughServer(t, x, msg); hauberk.CodeOf(err) != code {
					t.Errorf("%T ended with %v; want %s", msg, err, code)
				}
			}
		})
	}
	all.Wait()
}

// Messages of excepted types pass, and their rules are not compiled.
func TestExceptMessages(t *testing.T) {
	x := validate.New(validate.Config{ExceptMessages: []string{
		"hauberk.validate.test.v1.Receipt", "hauberk.validate.test.v1.Uncompilable",
	}}, validate.WithServices(checkService()))
	for range 2 {
		for _, msg := range []proto.Message{&checkpb.Receipt{}, &checkpb.Uncompilable{Part: &checkpb.Broken{}}} {
			if err := throughServer(t, x, msg); err != nil {
				t.Errorf("a %T ended with %v", msg, err)
			}
		}
	}
	want(t, throughServer(t, x, &checkpb.Order{}), codes.InvalidArgument, validate.ReasonInvalidRequest)
}

// A handler that returns the rejection of a call that it made through the same interceptor has
// not received an invalid request: nothing is recorded.
func TestNestedRejection(t *testing.T) {
	x := validate.New(validate.Config{Sent: true})
	conn := hauberk.Must(hauberk.New(x)).ClientConn(hauberktest.Conn{})
	var decisions []hauberk.Decision
	observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		decisions = call.Decisions().Recorded()
		return err
	})
	intercept := hauberk.Must(hauberk.New(observe, x)).UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}
	_, err := intercept(t.Context(), &checkpb.Receipt{Id: "a"}, info, func(ctx context.Context, _ any) (any, error) {
		return nil, conn.Invoke(ctx, "/a.B/D", &checkpb.Receipt{}, &checkpb.Receipt{})
	})
	want(t, err, codes.InvalidArgument, validate.ReasonInvalidRequest)
	if len(decisions) > 0 {
		t.Errorf("the decisions are %+v; want none", decisions)
	}
}

// fixed is a validator with a result.
type fixed struct {
	err  error
	opts int
}

func (v *fixed) Validate(_ proto.Message, opts ...protovalidate.ValidationOption) error {
	v.opts = len(opts)
	return v.err
}

// The given validator is used, with FailFast too. One that returns other errors, or a
// validation error without violations, does not let a message pass.
func TestWithValidator(t *testing.T) {
	v := &fixed{}
	x := validate.New(validate.Config{FailFast: true}, validate.WithValidator(v))
	if err := throughServer(t, x, &checkpb.Receipt{}); err != nil || v.opts != 1 {
		t.Errorf("the call ended with %v; the validator received %d options, want FailFast", err, v.opts)
	}
	v.err = errors.New("unknown")
	want(t, throughServer(t, x, &checkpb.Receipt{}), codes.Internal, validate.ReasonNotEvaluated)
	v.err = &protovalidate.ValidationError{}
	want(t, throughServer(t, x, &checkpb.Receipt{}), codes.InvalidArgument, validate.ReasonInvalidRequest)
	v.err = fmt.Errorf("late: %w", &protovalidate.CompilationError{})
	want(t, throughServer(t, x, &checkpb.Receipt{}), codes.Internal, validate.ReasonNotCompiled)
}
