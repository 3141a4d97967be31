package logging_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// canary returns a secret that names its place.
func canary(place string) string { return "cuckoo-" + strings.ReplaceAll(place, " ", "-") }

// everything is a Config that logs as much as possible. With received a client logs the
// metadata of the response, too.
func everything(j *journal, states ...logging.Option) *logging.Interceptor {
	config := logging.Config{
		Start: true, Messages: true, Decisions: true, ClientErrors: true, ClientPeer: true,
		Payloads: logging.Payloads{On: true, Redact: []string{"hauberk.test.v1.Response.payload"}, MaxBytes: 1 << 20},
		Metadata: logging.Metadata{Request: true, Response: true, Redact: []string{"x-session"}, MaxBytes: 1 << 20},
	}
	return logging.New(config, append(states, j.option())...)
}

// claims are state of a type that is not made for logs.
type claims struct {
	Email string
	more  map[string]any
}

var claimsKey = hauberk.NewKey[*claims]("claims")

// disaster is a way in which a call with secrets fails.
type disaster struct {
	name         string
	interceptors []hauberk.Interceptor
	handle       func() error
}

func panics(place string) { panic(errors.New(canary(place))) }

var disasters = []disaster{
	{name: "none"},
	{name: "panic in the handler", handle: func() error {
		panics("handler")
		return nil
	}},
	{name: "panic with a message", handle: func() error {
		panic(&testpb.Request{Secret: canary("message")})
	}},
	{name: "panic with a status", handle: func() error {
		panic(status.Error(codes.NotFound, canary("status")))
	}},
	{name: "runtime error", handle: func() error {
		_ = map[string]string{}[canary("key")][len(canary("key")):][0]
		return nil
	}},
	{name: "failed type assertion", handle: func() error {
		_ = any(canary("assertion")).(error)
		return nil
	}},
	{name: "panic before next", interceptors: []hauberk.Interceptor{before(func() { panics("before") })}},
	{name: "panic after next", interceptors: []hauberk.Interceptor{after(func() { panics("after") })}},
	{name: "panic in a send hook", interceptors: []hauberk.Interceptor{onMessage(func() { panics("send") }, func() {})}},
	{name: "panic in a receive hook", interceptors: []hauberk.Interceptor{onMessage(func() {}, func() { panics("receive") })}},
	{name: "rejection", interceptors: []hauberk.Interceptor{hauberk.Func(
		func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.PermissionDenied, "NO", "no")
		})}},
}

func before(f func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f()
		return next(ctx, call)
	})
}

func after(f func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		f()
		return err
	})
}

func onMessage(send, receive func()) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			send()
			return emit(msg)
		})
		call.OnReceive(func(any) (bool, error) {
			receive()
			return true, nil
		})
		return next(ctx, call)
	})
}

// With all logging on, the log has no secrets of metadata, claims, messages and panics. The
// other end receives nothing of a panic (ATTACKS G01).
func TestCanaries(t *testing.T) {
	for _, d := range disasters {
		t.Run(d.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) { testCanaries(t, c, d) })
		})
	}
}

func testCanaries(t *testing.T, c hauberktest.Case, d disaster) {
	t.Helper()
	j := newJournal()
	interceptors := []hauberk.Interceptor{
		everything(j, logging.State("identity", authn.Key),
			logging.State("user", authn.User), logging.State("claims", claimsKey)),
		recovery.New(recovery.Config{}, recovery.WithLogger(j.logger()), recovery.WithHandler(badHandler)),
		identifying(c),
		before(func() {}),
	}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		s.SetTrailer(metadata.Pairs("refresh-token", canary("trailer"), "plain", "seen-trailer"))
		err := s.SetHeader(metadata.Pairs("set-cookie", canary("header"), "plain", "seen-header"))
		if d.handle != nil && c.Side == hauberk.ServerSide {
			err = errors.Join(err, d.handle())
		}
		return errors.Join(err, answer(s))
	}}
	env := c.StartWith(t, backend, append(interceptors, d.interceptors...)...)
	ctx := metadata.AppendToOutgoingContext(t.Context(),
		"authorization", "Bearer "+canary("authorization"), "cookie", "id="+canary("cookie"), "x-api-key", canary("key"),
		"x-custom-bin", canary("bin"), "proxy-authorization", canary("proxy"), "x-session", canary("session"),
		"plain", "seen-request")
	request := &testpb.Request{Text: "seen-message", Secret: canary("secret")}
	out := env.Do(ctx, hauberktest.FullMethod(c.Kind), []*testpb.Request{request, request})
	env.Server.GracefulStop()

	checkNoCanary(t, "the log", j.String())
	checkNoCanary(t, "the caller's error", fmt.Sprint(out.Err, status.Convert(out.Err).Proto()))
	if d.name == "none" {
		checkSeen(t, c, j.String(), out)
	} else if out.Err == nil {
		if c.Side == hauberk.ServerSide || d.handle == nil {
			t.Error("the disaster did not happen")
		}
	}
	for _, r := range j.records(t) {
		if r["stack"] != nil && d.name == "runtime error" {
			check(t, r, map[string]any{"panic": "runtime error: slice bounds out of range [10:0]"})
		}
	}
}

func badHandler(context.Context, *hauberk.Call, any, []byte) { panics("handler of panics") }

// identifying gives a call an identity with claims, and a decision.
func identifying(c hauberktest.Case) hauberk.Interceptor {
	claims := &claims{canary("email"), map[string]any{"role": canary("role")}}
	identity := &authn.Identity{Subject: "ada", Claims: map[string]any{"email": canary("claim")}}
	set := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		claimsKey.Set(call, claims)
		call.Decide(hauberk.Decision{Interceptor: "authz", Rule: "rule-1", Verdict: hauberk.Rejected, Shadow: true})
		return next(ctx, call)
	})
	if c.Side == hauberk.ClientSide {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			authn.Key.Set(call, identity)
			authn.User.Set(call, identity.Subject)
			return set(ctx, call, next)
		})
	}
	check := authn.New(authn.Config{}, authn.Bearer(func(context.Context, string) (*authn.Identity, error) { return identity, nil }))
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return check.Intercept(ctx, call, func(ctx context.Context, call *hauberk.Call) error { return set(ctx, call, next) })
	})
}

// answer reads all requests and sends a secret.
func answer(s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); err != nil {
			break
		}
	}
	return s.Send(&testpb.Response{Text: "seen-response", Payload: []byte(canary("payload"))})
}

func checkNoCanary(t *testing.T, where, text string) {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString([]byte("cuckoo"))
	for _, secret := range []string{"cuckoo", encoded} {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s has a secret: …%s…", where, text[max(0, at-200):min(len(text), at+60)])
		}
	}
}

// checkSeen checks that the data around the secrets was logged, so that the test can find
// them.
func checkSeen(t *testing.T, c hauberktest.Case, log string, out hauberktest.Outcome) {
	t.Helper()
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	want := []string{
		"seen-request", "seen-message", "seen-response", "seen-header", `\"secret\":\"[redacted]\"`,
		`\"payload\":\"[redacted]\"`, `"authorization":"[redacted]"`, `"x-session":"[redacted]"`, `"set-cookie":"[redacted]"`,
		`"identity":"ada"`, `"user":"ada"`, `"claims":"[*logging_test.claims]"`, `"rule":"rule-1"`,
	}
	if c.Side == hauberk.ClientSide {
		want = append(want, "seen-trailer", `"refresh-token":"[redacted]"`)
	}
	for _, text := range want {
		if !strings.Contains(log, text) {
			t.Errorf("%s is not in the log: %s", text, log)
		}
	}
}

// slog's default logger does not get more.
func TestCanaryOfDefaultLogger(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(j, nil)))
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		panics("handler")
		return nil
	}}, logging.New(logging.Config{}), recovery.New(recovery.Config{}))
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	wantIn(t, j.String(), "exception.type=*errors.errorString")
	checkNoCanary(t, "the log", j.String())
}
