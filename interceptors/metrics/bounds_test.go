package metrics_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

const flood = 20_000

// unknownMethods returns a function that serves a call of a method that the server does not have.
func unknownMethods(chain *hauberk.Chain) func(method string) error {
	serve := chain.StreamServerInterceptor()
	unimplemented := func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "unknown") }
	return func(method string) error {
		info := &grpc.StreamServerInfo{FullMethod: method, IsClientStream: true, IsServerStream: true}
		return serve(nil, &hauberktest.ServerStream{}, info, unimplemented)
	}
}

func TestUnknownMethodsShareOneSeries(t *testing.T) {
	m := metrics.New(metrics.Config{})
	call := unknownMethods(chainOf(t, m))
	for i := range flood {
		_ = call(fmt.Sprintf("/any.Service%d/Method%d", i, i))
	}
	if all := m.Series(); len(all) != 1 || all[0].Service != metrics.Unknown || all[0].Method != metrics.Unknown {
		t.Fatalf("%d series: %+v", len(all), all)
	}
	s := m.Snapshot().Server.Methods
	if len(s) != 1 {
		t.Errorf("%d methods", len(s))
	}
	checkCounts(t, s[metrics.Unknown], flood, codes.Unimplemented)
}

func TestUnknownMethodOfServer(t *testing.T) {
	hauberktest.CheckLeaks(t)
	m := metrics.New(metrics.Config{})
	env := hauberktest.Start(t, hauberktest.Setup{Server: chainOf(t, m)})
	for _, method := range []string{"/hauberk.test.v1.TestService/Nothing", "/no.Service/Nothing"} {
		if err := env.Conn.Invoke(t.Context(), method, request, request); status.Code(err) != codes.Unimplemented {
			t.Fatal(err)
		}
	}
	checkCounts(t, m.Snapshot().Server.Methods[metrics.Unknown], 2, codes.Unimplemented)
}

func TestClientMethodsAreBounded(t *testing.T) {
	const limit = 50
	m := metrics.New(metrics.Config{MaxMethods: limit})
	call := called(chainOf(t, m), hauberktest.Conn{})
	for i := range flood {
		_ = call(fmt.Sprintf("/any.Service%d/Method", i))
	}
	if n := len(m.Series()); n != limit+1 {
		t.Errorf("%d series, want %d", n, limit+1)
	}
	s := m.Snapshot().Client.Methods
	if other := s[metrics.Other].Calls; other != flood-limit {
		t.Errorf("%d calls of other methods, want %d", other, flood-limit)
	}
	if first := s["/any.Service0/Method"].Calls; first != 1 {
		t.Errorf("%d calls of the first", first)
	}
}

// Names that are not valid as label values count as Other.
func TestInvalidNames(t *testing.T) {
	long := "/s/" + strings.Repeat("m", 254)
	m := metrics.New(metrics.Config{})
	call := called(chainOf(t, m), hauberktest.Conn{})
	for _, method := range []string{long, "/s/\xff", "/\xfe/m", long[:256]} {
		_ = call(method)
	}
	s := m.Snapshot().Client.Methods
	if s[metrics.Other].Calls != 3 || s[long[:256]].Calls != 1 || len(s) != 2 {
		t.Errorf("methods %v", s)
	}
	m.Register(map[string]grpc.ServiceInfo{"\xff": {Methods: []grpc.MethodInfo{{Name: "M"}}}})
	if s := m.Snapshot().Server.Methods; len(s) != 1 || s[metrics.Other].Calls != 0 {
		t.Errorf("registered %v", s)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	const limit = 20
	m := metrics.New(metrics.Config{MaxReasons: limit})
	i := 0
	local := called(chainOf(t, m, hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		reason := fmt.Sprintf("REASON_%d", i)
		interceptor := fmt.Sprintf("interceptor%d", i)
		call.Decide(hauberk.Decision{Interceptor: interceptor, Verdict: hauberk.Rejected, Reason: reason})
		call.Decide(hauberk.Decision{Interceptor: interceptor, Verdict: hauberk.Rejected, Reason: reason, Shadow: true})
		return hauberk.Reject(codes.Aborted, reason, "no")
	})), hauberktest.Conn{})
	remote := called(chainOf(t, m), hauberktest.Conn{Outcome: func(string) error {
		st, err := status.New(codes.Aborted, "no").WithDetails(&errdetails.ErrorInfo{Reason: fmt.Sprintf("REASON_%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}})
	const fewer = flood / 10 // rejections that only this process can make
	for ; i < flood; i++ {
		_ = remote("/s/m")
		if i < fewer {
			_ = local("/s/m")
		}
	}
	if n := len(m.Rejections()); n != 3*(limit+1) {
		t.Errorf("%d rejections, want %d for each of three origins", n, limit+1)
	}
	s := m.Snapshot().Client
	for _, test := range []struct {
		name    string
		reasons map[string]uint64
		calls   uint64
	}{{"enforced", s.Rejections, fewer}, {"shadowed", s.ShadowRejections, fewer}, {"remote", s.RemoteRejections, flood}} {
		if n := test.reasons[metrics.Other]; n != test.calls-limit || test.reasons["REASON_0"] != 1 || len(test.reasons) != limit+1 {
			t.Errorf("%s: %d reasons, %d other", test.name, len(test.reasons), n)
		}
	}
}

// Reasons that are too long or not UTF-8 count as the reason that the rejection sends for them.
func TestInvalidReasons(t *testing.T) {
	m := metrics.New(metrics.Config{})
	for _, reason := range []string{strings.Repeat("R", 64), "\xff", strings.Repeat("R", 63)} {
		_ = called(chainOf(t, m, reject(codes.Aborted, reason)), hauberktest.Conn{})("/s/m")
	}
	s := m.Snapshot().Client.Rejections
	if s[hauberk.ReasonMalformed] != 2 || s[strings.Repeat("R", 63)] != 1 || len(s) != 2 {
		t.Errorf("rejections %v", s)
	}
}

// A reason Other from a server counts with the reasons beyond the bound.
func TestRemoteReasonOther(t *testing.T) {
	m := metrics.New(metrics.Config{})
	reason := ""
	call := called(chainOf(t, m), hauberktest.Conn{Outcome: func(string) error {
		st, err := status.New(codes.Aborted, "no").WithDetails(&errdetails.ErrorInfo{Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}})
	for _, reason = range []string{metrics.Other, strings.Repeat("R", 64)} {
		_ = call("/s/m")
	}
	want := []metrics.Rejection{{hauberk.ClientSide, metrics.Remote, metrics.Unknown, metrics.Other, 2}}
	if got := m.Rejections(); !slices.Equal(got, want) {
		t.Errorf("rejections %+v, want %+v", got, want)
	}
}

func TestRegister(t *testing.T) {
	hauberktest.CheckLeaks(t)
	m := metrics.New(metrics.Config{})
	env := hauberktest.Start(t, hauberktest.Setup{Server: chainOf(t, m), Kind: hauberk.ServerStream})
	m.Register(env.Server.GetServiceInfo())
	m.Register(env.Server.GetServiceInfo()) // has no effect
	all := m.Series()
	if len(all) != 4 {
		t.Errorf("%d series of 4 methods", len(all))
	}
	for _, s := range all {
		if !s.Registered || s.Started != 0 || s.Side != hauberk.ServerSide || "/"+s.Service+"/"+s.Method != hauberktest.FullMethod(s.Kind) {
			t.Errorf("%+v", s)
		}
	}
	if out := env.Call(t.Context()); out.Err != nil {
		t.Fatal(out.Err)
	}
	if n := len(m.Series()); n != 4 {
		t.Errorf("%d series after a call", n)
	}
	checkCounts(t, m.Snapshot().Server.Methods[hauberktest.FullMethod(hauberk.ServerStream)], 1, codes.OK)
}

// A proxy's server does not know its methods. Registered methods count under their names and
// kinds.
func TestRegisteredMethodsOfProxies(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Register(map[string]grpc.ServiceInfo{"shop.v1.Cart": {Methods: []grpc.MethodInfo{{Name: "Get"}}}})
	call := unknownMethods(chainOf(t, m))
	for _, method := range []string{"Get", "Get", "Put"} {
		_ = call("/shop.v1.Cart/" + method)
	}
	s := m.Snapshot().Server.Methods
	checkCounts(t, s["/shop.v1.Cart/Get"], 2, codes.Unimplemented)
	checkCounts(t, s[metrics.Unknown], 1, codes.Unimplemented)
	for _, series := range m.Series() {
		if want := series.Service == "shop.v1.Cart"; series.Registered != want || (series.Kind == hauberk.Unary) != want {
			t.Errorf("%+v", series)
		}
	}
}

// An interceptor that sends calls to another method makes a Method for each call. An inner
// interceptor counts the calls by the method's name.
func TestRedirectedCalls(t *testing.T) {
	m := metrics.New(metrics.Config{})
	redirect := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := call.SetMethod("/shop.v2.Cart/Get"); err != nil {
			return err
		}
		return next(ctx, call)
	})
	call := called(chainOf(t, redirect, m), hauberktest.Conn{})
	for range 1000 {
		if err := call("/shop.v1.Cart/Get"); err != nil {
			t.Fatal(err)
		}
	}
	s := m.Snapshot().Client.Methods
	if len(s) != 1 {
		t.Errorf("methods %v", s)
	}
	checkCounts(t, s["/shop.v2.Cart/Get"], 1000, codes.OK)
}
