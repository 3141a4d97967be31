package authz_test

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// eachKind runs a test for a server of each kind.
func eachKind(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, hauberktest.Case{Side: hauberk.ServerSide, Kind: kind})
		})
	}
}

// counting is a backend that counts the calls that reach it.
func counting() (*hauberktest.Backend, *atomic.Int64) {
	served := new(atomic.Int64)
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		served.Add(1)
		return hauberktest.Echo(ctx, s)
	}}, served
}

func onRequest(text string) authz.Rule {
	return authz.Rule{Name: "request", Methods: []string{tests}, When: text, Request: true}
}

// A rule about the request decides on the first message, before the handler runs, which then
// receives every message.
func TestRequest(t *testing.T) {
	for name, p := range map[string]authz.Policy{
		"allow": {Allow: []authz.Rule{onRequest(`request.text.startsWith("good")`)}},
		"deny":  {Allow: []authz.Rule{all()}, Deny: []authz.Rule{onRequest(`!request.text.startsWith("good")`)}},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				backend, served := counting()
				env := c.StartWith(t, backend, authz.New(authz.Config{Policy: p}))
				out := env.Call(t.Context(), "good 1", "bad 2", "good 3")
				wantCode(t, out.Err, codes.OK)
				want := "echo:good 1"
				if c.Kind == hauberk.ClientStream {
					want = "echo:good 1,bad 2,good 3"
				}
				if texts := out.Texts(); len(texts) == 0 || texts[0] != want || c.Kind == hauberk.Bidi && len(texts) != 3 {
					t.Errorf("responses %q, want %q", texts, want)
				}
				wantCode(t, env.Call(t.Context(), "bad 1", "good 2").Err, codes.PermissionDenied)
				if n := served.Load(); n != 1 {
					t.Errorf("%d calls were served, want 1", n)
				}
			})
		})
	}
}

// A stream without a message has no request: no rule about it allows the call, and each
// that denies does.
func TestNoRequest(t *testing.T) {
	for name, p := range map[string]authz.Policy{
		"allow": {Allow: []authz.Rule{onRequest(`request.text != "bad"`)}},
		"deny":  {Allow: []authz.Rule{all()}, Deny: []authz.Rule{onRequest(`request.text == "bad"`)}},
	} {
		for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				backend, served := counting()
				env := hauberktest.Case{Kind: kind}.StartWith(t, backend, authz.New(authz.Config{Policy: p}))
				stream := open(t, env, kind)
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.PermissionDenied)
				if served.Load() != 0 {
					t.Error("the call was served")
				}
			})
		}
	}
}

func open(t *testing.T, env *hauberktest.Env, kind hauberk.Kind) grpc.ClientStream {
	t.Helper()
	stream, err := env.Client.NewStream(t.Context(),
		&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// A call that other rules decide on is decided before a message is there.
func TestRequestIsNotRead(t *testing.T) {
	bad := onRequest(`request.text == "bad"`)
	for name, c := range map[string]struct {
		policy authz.Policy
		want   codes.Code
	}{
		"denied":         {authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{bad, {Name: "d", Methods: []string{tests}}}}, codes.PermissionDenied},
		"not allowed":    {authz.Policy{Allow: []authz.Rule{{Methods: []string{"grpc.x/y"}}}, Deny: []authz.Rule{bad}}, codes.PermissionDenied},
		"other field":    {authz.Policy{Allow: []authz.Rule{{Methods: []string{tests}, ClientAddrs: []string{"10.0.0.0/8"}, Request: true, When: bad.When}}}, codes.PermissionDenied},
		"allowed anyway": {authz.Policy{Allow: []authz.Rule{bad, all()}}, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, cell hauberktest.Case) {
				stop := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return errStop })
				unread := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.CountMessages()
					err := next(ctx, call)
					if n := call.Received(); n != 0 {
						t.Errorf("%d messages were received", n)
					}
					return err
				})
				// No message is sent: reading would block.
				env := cell.Start(t, unread, authz.New(authz.Config{Policy: c.policy}), stop)
				err := open(t, env, cell.Kind).RecvMsg(new(testpb.Response))
				if c.want == codes.OK {
					wantCode(t, err, codes.Aborted)
				} else {
					wantCode(t, err, c.want)
				}
			})
		})
	}
}

var errStop = hauberk.Reject(codes.Aborted, "STOP", "stop")

// A request that cannot be decoded ends the call with the status of that.
func TestUnreadableRequest(t *testing.T) {
	p := authz.Policy{Allow: []authz.Rule{onRequest(`request.text == "good"`)}}
	for _, kind := range kinds {
		chain := hauberk.Must(hauberk.New(authz.New(authz.Config{Policy: p})))
		err := hauberktest.Direct{Kind: kind, Decode: func(any) error { return errStop }}.Server(chain)(request{}.context())
		wantCode(t, err, codes.Aborted)
	}
}

// The type of the request is the method's own: a field that it does not have is an error at
// load for methods and services that a pattern names, and a missing attribute for others.
func TestRequestTypes(t *testing.T) {
	rule := onRequest(`request.nothing == "x"`)
	rule.Methods = []string{"x.Y/Z", "hauberk.test.v1.TestService/Bidi"}
	wantErr(t, authz.Config{Policy: authz.Policy{Allow: []authz.Rule{rule}}},
		"for the requests of hauberk.test.v1.TestService/Bidi", "undefined field 'nothing'")
	rule.Methods = []string{"hauberk.test.v1.*"}
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		for _, p := range []authz.Policy{
			{Allow: []authz.Rule{rule}},
			{Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}},
		} {
			env := c.Start(t, authz.New(authz.Config{Policy: p}))
			wantCode(t, env.Call(t.Context()).Err, codes.PermissionDenied)
			wantCode(t, env.Call(t.Context()).Err, codes.PermissionDenied) // by what is kept
		}
	})
}

// Rules about the request do not read those of unknown methods.
func TestRequestOfUnknownMethod(t *testing.T) {
	for _, kind := range kinds {
		p := authz.Policy{Allow: []authz.Rule{{Methods: []string{"*"}, When: `request.text == "x"`, Request: true}}}
		env := hauberktest.Case{Kind: kind}.Start(t, authz.New(authz.Config{Policy: p}))
		err := env.Do(t.Context(), "/hauberk.nowhere.v1.Nothing/Do", []*testpb.Request{{Text: "x"}}).Err
		wantCode(t, err, codes.PermissionDenied)
	}
}

// In shadow the request is read and the handler receives it.
func TestRequestInShadow(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		backend, served := counting()
		shadow := hauberk.Shadow(authz.New(authz.Config{Policy: authz.Policy{
			Allow: []authz.Rule{onRequest(`request.text == "good"`)},
		}}))
		env := c.StartWith(t, backend, shadow)
		for _, text := range []string{"good", "bad"} {
			out := env.Call(t.Context(), text)
			if texts := out.Texts(); len(texts) != 1 || texts[0] != "echo:"+text {
				t.Errorf("responses %q, %v", texts, out.Err)
			}
		}
		if served.Load() != 2 || shadow.Rejections() != 1 {
			t.Errorf("%d calls were served, %d would have been rejected", served.Load(), shadow.Rejections())
		}
	})
}

// In shadow a rule about the request does not make a call wait: a handler that sends before it
// receives is served as without the interceptor.
func TestShadowDoesNotWait(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if err := s.Send(&testpb.Response{Text: "hello"}); err != nil {
			return err
		}
		return hauberktest.Echo(ctx, s)
	}}
	shadow := hauberk.Shadow(authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{onRequest(`request.text == "good"`)}}}))
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, backend, shadow)
	stream := open(t, env, hauberk.Bidi)
	for _, want := range []string{"hello", "echo:bad"} {
		resp := new(testpb.Response)
		if err := stream.RecvMsg(resp); err != nil || resp.GetText() != want {
			t.Fatalf("received %q, %v; want %q", resp.GetText(), err, want)
		}
		if err := stream.SendMsg(&testpb.Request{Text: "bad"}); err != nil {
			t.Fatal(err)
		}
	}
	if shadow.Rejections() != 1 {
		t.Errorf("%d calls would have been rejected, want 1", shadow.Rejections())
	}
}
