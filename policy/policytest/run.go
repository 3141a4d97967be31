package policytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy"
)

// Result is what became of a case.
type Result struct {
	Case

	// GotCode and GotReason are those of the last call, and Message is the text of its status.
	GotCode    codes.Code
	GotReason  string
	GotMessage string
	// Decisions are the verdicts on the last call.
	Decisions []hauberk.Decision
}

// Passed reports whether the verdict is as expected.
func (r *Result) Passed() bool {
	return r.GotCode == r.Code && (r.Reason == "" || r.GotReason == r.Reason)
}

// Report is the results of all cases.
type Report struct {
	Results []Result
	// Unreached are the rules of authz by which no last call of a case was decided: "line 20: authz: rules[1]".
	Unreached []string
}

// Failed returns the number of cases that did not pass.
func (r *Report) Failed() (n int) {
	for i := range r.Results {
		if !r.Results[i].Passed() {
			n++
		}
	}
	return n
}

// Methods finds the descriptors of methods, such as *descriptorset.Set. It returns nil for unknown ones.
type Methods interface {
	Method(name string) protoreflect.MethodDescriptor
}

// Run runs cases against the policy of a file, each with a new policy. methods may be nil: then all methods are unary
// and no case can have a message. The error is about the policy, or about a message that is not one of its method.
func Run(cases []Case, load func(opts ...policy.Option) (*policy.Policy, error), methods Methods) (*Report, error) {
	report := &Report{}
	reached := make(map[string]bool)
	var entries []policy.Entry
	for i := range cases {
		r := &runner{Result: Result{Case: cases[i]}, methods: methods}
		p, err := load(policy.WithTestIdentity(identityOf), policy.WithTestObserver(r.observe),
			policy.WithClock(r.clock), policy.CheckOnly())
		if err != nil {
			return nil, err
		}
		entries = p.Entries()
		err = r.run(p)
		_ = p.Close()
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", r.Line, r.Name, err)
		}
		for _, d := range r.Decisions {
			reached[d.Interceptor], reached[d.Interceptor+" "+d.Rule] = true, true
		}
		report.Results = append(report.Results, r.Result)
	}
	report.Unreached = unreached(entries, reached)
	return report, nil
}

// unreached returns the rules of authz by which no call was decided.
func unreached(entries []policy.Entry, reached map[string]bool) (all []string) {
	for i := range entries {
		e := &entries[i]
		if e.Side != hauberk.ServerSide || e.Use != "authz" || e.Mode == policy.Off {
			continue
		}
		for _, rule := range rulesOf(*e) {
			if !reached["authz "+rule.name] {
				all = append(all, fmt.Sprintf("line %d: authz: %s", rule.line, rule.name))
			}
		}
	}
	return all
}

type rule struct {
	name string
	line int
}

// rulesOf returns the rules of an entry authz with the names that its decisions have.
func rulesOf(e policy.Entry) (all []*rule) {
	at := make(map[string]*rule)
	for _, s := range e.Settings {
		place, key, ok := strings.Cut(s.Key, ".")
		if !ok || !strings.HasPrefix(place, "rules") {
			continue
		}
		if place == "rules" {
			place = "rules[0]"
		}
		if at[place] == nil {
			at[place] = &rule{name: place, line: s.Line}
			all = append(all, at[place])
		}
		if key == "name" {
			at[place].name = s.Value
		}
	}
	return all
}

// runner runs one case.
type runner struct {
	Result

	methods Methods
	call    *hauberk.Call // the last one
}

func (r *runner) observe(call *hauberk.Call) { r.call = call }

func (r *runner) clock() time.Time {
	if r.Time.IsZero() {
		return time.Now()
	}
	return r.Time
}

type identityKey struct{}

func identityOf(ctx context.Context) *hauberk.Identity {
	id, _ := ctx.Value(identityKey{}).(*hauberk.Identity)
	return id
}

// run makes the calls.
func (r *runner) run(p *policy.Policy) error {
	info := &grpc.StreamServerInfo{FullMethod: "/" + r.Method}
	var request, response proto.Message = new(emptypb.Empty), new(emptypb.Empty)
	var method protoreflect.MethodDescriptor
	if r.methods != nil {
		if method = r.methods.Method(r.Method); method == nil {
			return errors.New("the services have no such method")
		}
		info.IsClientStream, info.IsServerStream = method.IsStreamingClient(), method.IsStreamingServer()
		request, response = dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	}
	if r.Message != nil {
		if method == nil {
			return errors.New("the case has a message, and its type is not known; want descriptors")
		}
		if err := protojson.Unmarshal(r.Message, request); err != nil {
			return fmt.Errorf("the message is not a %s: %w", method.Input().FullName(), err)
		}
	}
	serve := p.Server().StreamServerInterceptor()
	for range r.Calls {
		s := &stream{ctx: r.context(), request: request}
		err := serve(struct{}{}, s, info, func(_ any, inner grpc.ServerStream) error {
			return handle(inner, request.ProtoReflect().New().Interface(), response)
		})
		st := hauberk.StatusOf(err)
		r.GotCode, r.GotReason, r.GotMessage = st.Code(), hauberk.Reason(st.Err()), st.Message()
		if r.call != nil {
			r.Decisions = r.call.Decisions().All()
		}
	}
	return nil
}

// handle is the handler of all methods: it reads all requests and answers with OK.
func handle(s grpc.ServerStream, request, response proto.Message) error {
	for {
		if err := s.RecvMsg(request); errors.Is(err, io.EOF) {
			return s.SendMsg(response)
		} else if err != nil {
			return err
		}
	}
}

// context returns the context of a call.
func (r *runner) context() context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: r.Peer.AsSlice(), Port: 1}})
	md := metadata.MD{}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		md[key] = slices.Clone(r.Metadata[key])
	}
	ctx = metadata.NewIncomingContext(ctx, md)
	if r.Identity != nil {
		ctx = context.WithValue(ctx, identityKey{}, r.Identity)
	}
	return ctx
}

// stream is the transport of a call.
type stream struct {
	ctx     context.Context //nolint:containedctx // Context returns it
	request proto.Message   // nil after it was received
}

func (s *stream) Context() context.Context     { return s.ctx }
func (s *stream) SetHeader(metadata.MD) error  { return nil }
func (s *stream) SendHeader(metadata.MD) error { return nil }
func (s *stream) SetTrailer(metadata.MD)       {}
func (s *stream) SendMsg(any) error            { return nil }

func (s *stream) RecvMsg(msg any) error {
	if s.request == nil {
		return io.EOF
	}
	if to, ok := msg.(proto.Message); ok {
		proto.Reset(to)
		proto.Merge(to, s.request)
	}
	s.request = nil
	return nil
}
