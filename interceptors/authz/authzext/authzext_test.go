package authzext_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// answers are what a service can answer, and how the call ends.
func answers() map[string]verdict {
	denied, failed := authzext.ReasonDenied, authzext.ReasonUnavailable
	statusOnly := func(c codes.Code) *authv3.CheckResponse { return &authv3.CheckResponse{Status: code(c)} }
	okDenied := deny(403)
	okDenied.Status.Code = 0
	noStatus := deny(403)
	noStatus.Status = nil
	deniedOK := allowed()
	deniedOK.Status.Code = int32(codes.PermissionDenied)
	list := map[string]verdict{
		"allowed":              {allowed(), codes.OK, "", nil},
		"allowed, status only": {statusOnly(codes.OK), codes.OK, "", nil},
		"allowed, no status":   {&authv3.CheckResponse{HttpResponse: allowed().GetHttpResponse()}, codes.OK, "", nil},
		"denied, status only":  {statusOnly(codes.Unauthenticated), codes.PermissionDenied, denied, authzext.ErrDenied},
		"denied, ok_response":  {deniedOK, codes.PermissionDenied, denied, authzext.ErrDenied},
		"empty":                {new(authv3.CheckResponse), codes.Unavailable, failed, authzext.ErrAnswer},
		"OK, but denied":       {okDenied, codes.Unavailable, failed, authzext.ErrAnswer},
		"denied, no status":    {noStatus, codes.Unavailable, failed, authzext.ErrAnswer},
		"unknown status":       {statusOnly(17), codes.Unavailable, failed, authzext.ErrAnswer},
		"negative status":      {statusOnly(1<<32 - 1), codes.Unavailable, failed, authzext.ErrAnswer},
		"error":                {reports(codes.Internal, 0), codes.Unavailable, failed, authzext.ErrService},
		"error, 500":           {reports(codes.Internal, 500), codes.Unknown, failed, authzext.ErrService},
		"OK, but an error":     {reports(codes.OK, 0), codes.Unavailable, failed, authzext.ErrAnswer},
		"too large":            {setting(header("x-a", strings.Repeat("a", authzext.MaxAnswer), 2)), codes.Unavailable, failed, authzext.ErrAnswer},
		"query":                {allow(&authv3.OkHttpResponse{QueryParametersToRemove: []string{"q"}}), codes.Unavailable, failed, authzext.ErrAnswer},
		"unknown action":       {setting(header("x-a", "1", 9)), codes.Unavailable, failed, authzext.ErrAnswer},
		"two values":           {setting(&corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-a", Value: "1", RawValue: []byte("2")}}), codes.Unavailable, failed, authzext.ErrAnswer},
		"no header":            {setting(nil), codes.Unavailable, failed, authzext.ErrAnswer},
		"illegal value":        {setting(header("x-a", "a\nb", 2)), codes.Unavailable, failed, authzext.ErrAnswer},
		"not base64":           {setting(header("x-a-bin", "a", 2)), codes.Unavailable, failed, authzext.ErrAnswer},
	}
	for http, want := range map[int]codes.Code{
		0: codes.PermissionDenied, 200: codes.Unknown, 302: codes.Unknown, 400: codes.Internal, 401: codes.Unauthenticated,
		403: codes.PermissionDenied, 404: codes.Unimplemented, 409: codes.Unknown, 429: codes.Unavailable, 500: codes.Unknown,
		502: codes.Unavailable, 503: codes.Unavailable, 504: codes.Unavailable, 999: codes.Unknown, -1: codes.Unknown,
	} {
		list[fmt.Sprint("denied ", http)] = verdict{deny(http), want, denied, authzext.ErrDenied}
	}
	for _, key := range []string{":authority", ":path", "grpc-status", "grpc-x", "host", "te", "Content-Type", "user-agent", "connection", "", "ä", "a b"} {
		list[fmt.Sprintf("sets %q", key)] = verdict{setting(header(key, "1", 2)), codes.Unavailable, failed, authzext.ErrAnswer}
		r := allow(&authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{header(key, "1", 2)}})
		list[fmt.Sprintf("answers %q", key)] = verdict{r, codes.Unavailable, failed, authzext.ErrAnswer}
	}
	return list
}

type verdict struct {
	resp   *authv3.CheckResponse
	want   codes.Code
	reason string
	cause  error
}

// Each answer has its status, for all kinds of calls. Clients receive no text of the service.
func TestAnswers(t *testing.T) {
	for name, v := range answers() {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				s := start(t, c, ext(t, always(v.resp), authzext.Config{}))
				out := s.Call(t.Context())
				wantCode(t, out.Err, v.want)
				if got := hauberk.Reason(out.Err); got != v.reason {
					t.Errorf("reason %q, want %q", got, v.reason)
				}
				for _, secret := range []string{"secret text", "body of the service"} {
					if text := fmt.Sprint(status.Convert(out.Err).Proto(), out.Header, out.Trailer); strings.Contains(text, secret) {
						t.Errorf("the client sees %s", text)
					}
				}
				if end := <-s.ended; v.cause != nil && !errors.Is(end.err, v.cause) {
					t.Errorf("%v is not %v", end.err, v.cause)
				}
				if executed := s.calls.Load() == 1; executed != (v.want == codes.OK) {
					t.Errorf("the handler ran: %t", executed)
				}
			})
		})
	}
}

// FailOpen admits calls only if there is no answer, or the service reports an error. A denial and
// an invalid answer never become an admission.
func TestFailOpenAnswers(t *testing.T) {
	for name, v := range answers() {
		s := start(t, hauberktest.Case{}, ext(t, always(v.resp), authzext.Config{FailOpen: true}))
		want := v.want
		if v.resp.GetErrorResponse() != nil && v.resp.GetStatus().GetCode() != 0 {
			want = codes.OK
		}
		if err := s.Call(t.Context()).Err; status.Code(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// A check that ends with a status fails closed. FailOpen admits the call for two of them.
func TestFailingService(t *testing.T) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		for _, open := range []bool{false, true} {
			s := start(t, hauberktest.Case{Kind: hauberk.Bidi}, ext(t, failing(c), authzext.Config{FailOpen: open, ErrorCode: codes.PermissionDenied}))
			out, want := s.Call(t.Context()), codes.PermissionDenied
			admitted := open && (c == codes.Unavailable || c == codes.DeadlineExceeded)
			rule := hauberk.Decision{Interceptor: "authzext", Rule: authzext.Failed, Verdict: hauberk.Rejected, Reason: authzext.ReasonUnavailable}
			if admitted {
				want, rule.Rule, rule.Verdict = codes.OK, authzext.FailedOpen, hauberk.Allowed
			}
			wantCode(t, out.Err, want)
			if end := <-s.ended; !slices.Contains(end.decisions, rule) || !admitted && !errors.Is(end.err, authzext.ErrService) {
				t.Errorf("%v, open %t: %v, decisions %+v", c, open, end.err, end.decisions)
			}
		}
	}
}

// The body reaches the client only if the operator chooses so, bounded and in UTF-8.
func TestSendBody(t *testing.T) {
	for body, want := range map[string]string{
		"":                                    "Permission denied",
		"ask the admin":                       "ask the admin",
		"a\xff":                               "a!",
		strings.Repeat("ä", 600):              strings.Repeat("ä", 512),
		"x" + strings.Repeat("ä", 600) + "\n": "x" + strings.Repeat("ä", 511),
	} {
		resp := deny(403)
		resp.GetDeniedResponse().Body = strings.ToValidUTF8(body, "!")
		s := start(t, hauberktest.Case{}, ext(t, always(resp), authzext.Config{SendBody: true}))
		if got := status.Convert(s.Call(t.Context()).Err).Message(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The service's headers reach the client: the permitted ones, and none that are reserved.
func TestClientHeaders(t *testing.T) {
	headers := []*corev3.HeaderValueOption{
		header("WWW-Authenticate", "Bearer", 0), header("x-a", "1", 0), header("x-a", "2", 0), header("x-b", "1", 0), header("x-b", "2", 2),
		header("x-c-bin", "AQI=", 0),
	}
	bad := []*corev3.HeaderValueOption{header("grpc-status", "0", 2), header("content-type", "text/html", 2), header("x-d", "\n", 2), header("x-long", strings.Repeat("a", 3<<10), 2)}
	all := metadata.Pairs("www-authenticate", "Bearer", "x-a", "1", "x-a", "2", "x-b", "2", "x-c-bin", "\x01\x02")
	for name, keys := range map[string]struct {
		permitted []string
		want      metadata.MD
	}{
		"all": {nil, all}, "none": {[]string{}, nil}, "some": {[]string{"X-A", "x-c*"}, metadata.Pairs("x-a", "1", "x-a", "2", "x-c-bin", "\x01\x02")},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				config := authzext.Config{ClientHeaders: keys.permitted}
				out := start(t, c, ext(t, always(deny(401, append(headers, bad...)...)), config)).Call(t.Context())
				wantCode(t, out.Err, codes.Unauthenticated)
				out2 := start(t, c, ext(t, always(allow(&authv3.OkHttpResponse{ResponseHeadersToAdd: headers})), config)).Call(t.Context())
				wantCode(t, out2.Err, codes.OK)
				for key := range all {
					if got := out.Trailer[key]; !slices.Equal(got, keys.want[key]) {
						t.Errorf("trailer %s: %q, want %q", key, got, keys.want[key])
					}
					if got := out2.Header[key]; !slices.Equal(got, keys.want[key]) {
						t.Errorf("header %s: %q, want %q", key, got, keys.want[key])
					}
				}
				if len(out.Trailer["x-long"])+len(out.Trailer["x-d"])+len(out.Trailer["grpc-status"]) > 0 {
					t.Errorf("trailer %v", out.Trailer)
				}
			})
		})
	}
}

// The dynamic metadata is state of the call, of a denied one too.
func TestDynamicMetadata(t *testing.T) {
	m, err := structpb.NewStruct(map[string]any{"plan": "gold"})
	if err != nil {
		t.Fatal(err)
	}
	inner := allow(&authv3.OkHttpResponse{DynamicMetadata: m}) //nolint:staticcheck // services still set it
	inner.DynamicMetadata = new(structpb.Struct)
	outer, denied := allowed(), deny(403)
	outer.DynamicMetadata, denied.DynamicMetadata = m, m
	for _, resp := range []*authv3.CheckResponse{inner, outer, denied} {
		plan := make(chan string, 1)
		outside := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			found, _ := authzext.DynamicMetadata.Get(call)
			plan <- found.GetFields()["plan"].GetStringValue()
			return err
		})
		s := start(t, hauberktest.Case{}, outside, ext(t, always(resp), authzext.Config{}))
		_ = s.Call(t.Context())
		if got := <-plan; got != "gold" {
			t.Errorf("%v: plan %q", resp, got)
		}
	}
}

// Calls are rejected before their request is read.
func TestRejectedBeforeTheRequest(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		s := start(t, c, ext(t, always(deny(403)), authzext.Config{}))
		stream := open(t, s, c.Kind)
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.PermissionDenied)
	})
}

func open(t *testing.T, s *server, kind hauberk.Kind) grpc.ClientStream {
	t.Helper()
	stream, err := s.Client.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hauberktest.FullMethod(kind))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Public methods are not checked; what only the service may set is removed from their metadata.
func TestPublic(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		svc := always(deny(403))
		s := start(t, c.With(hauberk.Config{Public: []string{tests}}), ext(t, svc, authzext.Config{OwnHeaders: []string{"x-user*"}}))
		wantCode(t, s.Call(with(t.Context(), "x-user-id", "root", "x-other", "1")).Err, codes.OK)
		if md := *s.seen.Load(); len(md["x-user-id"]) > 0 || len(md["x-other"]) != 1 || svc.checks.Load() != 0 {
			t.Errorf("the handler sees %v; %d checks", md, svc.checks.Load())
		}
	})
}

// Methods that the server does not have are checked like others.
func TestUnknownMethods(t *testing.T) {
	const nowhere = "/hauberk.nowhere.v1.Nothing/Do"
	for want, resp := range map[codes.Code]*authv3.CheckResponse{codes.PermissionDenied: deny(403), codes.Unimplemented: allowed()} {
		eachKind(t, func(t *testing.T, c hauberktest.Case) {
			svc := always(resp)
			s := start(t, c, ext(t, svc, authzext.Config{CacheFor: time.Hour, Body: &authzext.Body{MaxBytes: 10}}))
			for range 2 {
				wantCode(t, s.Do(t.Context(), nowhere, []*testpb.Request{{}}).Err, want)
			}
			if svc.checks.Load() != 2 || svc.http().GetPath() != nowhere {
				t.Errorf("%d checks, of %q", svc.checks.Load(), svc.http().GetPath())
			}
		})
	}
}

// In shadow the call goes on as if nothing had been asked, and the denial is counted.
func TestShadow(t *testing.T) {
	for name, resp := range map[string]*authv3.CheckResponse{
		"denied": deny(403, header("x-why", "1", 0)), "error": reports(codes.Internal, 0), "invalid": new(authv3.CheckResponse),
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				shadow := hauberk.Shadow(ext(t, always(resp), authzext.Config{OwnHeaders: []string{"x-user"}}))
				s := start(t, c, shadow)
				out := s.Call(with(t.Context(), "x-user", "me"))
				wantCode(t, out.Err, codes.OK)
				if len(out.Trailer["x-why"]) > 0 || len((*s.seen.Load())["x-user"]) != 1 || shadow.Rejections() != 1 {
					t.Errorf("trailer %v, metadata %v, %d rejections", out.Trailer, s.seen.Load(), shadow.Rejections())
				}
			})
		})
	}
	ok := allow(&authv3.OkHttpResponse{
		Headers: []*corev3.HeaderValueOption{header("x-user", "root", 2)}, ResponseHeadersToAdd: []*corev3.HeaderValueOption{header("x-r", "1", 2)},
	})
	s := start(t, hauberktest.Case{}, hauberk.Shadow(ext(t, always(ok), authzext.Config{})))
	if out := s.Call(t.Context()); len(out.Header["x-r"]) > 0 || len((*s.seen.Load())["x-user"]) > 0 {
		t.Errorf("header %v, metadata %v", out.Header, s.seen.Load())
	}
}

// Decisions name the verdict; those of allowed calls are recorded by configuration.
func TestDecisions(t *testing.T) {
	for rule, test := range map[string]struct {
		resp     *authv3.CheckResponse
		recorded bool
		want     hauberk.Decision
	}{
		"denied":            {deny(401), false, hauberk.Decision{Interceptor: "authzext", Rule: "denied, HTTP 401", Verdict: hauberk.Rejected, Reason: authzext.ReasonDenied}},
		"allowed":           {allowed(), false, hauberk.Decision{Interceptor: "authzext", Verdict: hauberk.Allowed}},
		"allowed, recorded": {allowed(), true, hauberk.Decision{Interceptor: "authzext", Rule: authzext.Allowed, Verdict: hauberk.Allowed}},
	} {
		s := start(t, hauberktest.Case{}, ext(t, always(test.resp), authzext.Config{RecordAllowed: test.recorded}))
		_ = s.Call(t.Context())
		if got := (<-s.ended).decisions; len(got) != 1 || got[0] != test.want {
			t.Errorf("%s: %+v, want %+v", rule, got, test.want)
		}
	}
}

// The identity needs an outer interceptor that authenticates.
func TestOrder(t *testing.T) {
	conn := always(allowed()).dial(t)
	sends := authzext.New(authzext.Config{Conn: conn, Identity: "id"})
	if _, err := hauberk.New(sends, login{}); err == nil || !strings.Contains(err.Error(), `reads the state "identity" before it is written`) {
		t.Errorf("ahead of authentication: %v", err)
	}
	for _, chain := range [][]hauberk.Interceptor{{login{}, sends}, {authzext.New(authzext.Config{Conn: conn})}} {
		if _, err := hauberk.New(chain...); err != nil {
			t.Error(err)
		}
	}
	if findings := hauberk.Must(hauberk.New(authzext.New(authzext.Config{Conn: conn}))).Lint(hauberk.ClientSide); len(findings) != 1 {
		t.Errorf("on a client: %v", findings)
	}
}

// The service counts as a rule for each method that the interceptor runs for.
func TestCoverage(t *testing.T) {
	env := hauberktest.Case{}.Start(t)
	conn := always(allowed()).dial(t)
	for pattern, want := range map[string]int{"*": 0, "hauberk.test.v1.TestService/Unary": 3} {
		chain := hauberk.Must(hauberk.New(login{}, hauberk.For(pattern, authzext.New(authzext.Config{Conn: conn}))))
		if got := chain.Coverage(env.Server.GetServiceInfo()).WithoutRule(); len(got) != want {
			t.Errorf("%s: without a rule %q, want %d", pattern, got, want)
		}
	}
}

// All mistakes are reported when the chain is built.
func TestConfig(t *testing.T) {
	_, err := hauberk.New(authzext.New(authzext.Config{
		Timeout: -1, ErrorCode: 17, CacheFor: -1, MaxRequest: -1, MaxCached: -1, Body: &authzext.Body{},
		Headers: []string{"a b"}, WithoutHeaders: []string{""}, OwnHeaders: []string{"x*y"}, ClientHeaders: []string{"*", "ok", ":path", "ä"},
	}, nil, authzext.WithClock(nil)))
	for _, want := range []string{
		"Conn is nil", "Timeout is -1ns", "ErrorCode is Code(17)", "CacheFor is -1ns", "MaxRequest is -1", "MaxCached is -1", "Body.MaxBytes is 0",
		`Headers[0] is "a b"`, `WithoutHeaders[0] is ""`, `OwnHeaders[0] is "x*y"`, `ClientHeaders[3] is "ä"`, "option 1 of New is nil", "WithClock",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
	if _, err := hauberk.New(new(authzext.Interceptor)); err == nil || !strings.Contains(err.Error(), "authzext.New") {
		t.Errorf("a zero Interceptor: %v", err)
	}
}

// A stream that was admitted is not checked again.
func TestCheckedOnce(t *testing.T) {
	svc := always(allowed())
	s := start(t, hauberktest.Case{Kind: hauberk.Bidi}, ext(t, svc, authzext.Config{}))
	if out := s.Call(t.Context(), "1", "2", "3"); len(out.Responses) != 3 || svc.checks.Load() != 1 {
		t.Errorf("%d responses, %v, %d checks", len(out.Responses), out.Err, svc.checks.Load())
	}
	if err := open(t, s, hauberk.Bidi).CloseSend(); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
