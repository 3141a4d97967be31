package authn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// eachKind runs a test for each kind of method, and checks that no goroutine is
// left.
func eachKind(t *testing.T, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, kind)
		})
	}
}

// guard recovers panics, and keeps them to itself.
func guard() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

func server(kind hauberk.Kind) hauberktest.Case {
	return hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
}

// check knows the token "good", of alice.
func check(_ context.Context, token string) (*authn.Identity, error) {
	if token != "good" {
		return nil, fmt.Errorf("looked up: %w", authn.ErrInvalidToken)
	}
	return &authn.Identity{Subject: "alice", Issuer: "tests", Scopes: []string{"cart"}}, nil
}

func failing(err error) authn.Validator {
	return func(context.Context, string) (*authn.Identity, error) { return nil, err }
}

func with(ctx context.Context, values ...string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": values, "other": {"kept"}})
}

// witness says what became of a call on a server.
type witness struct {
	err       error // the outcome, as an outer interceptor sees it
	decisions []hauberk.Decision
	inner     bool // an inner interceptor ran
	handled   bool
	identity  *authn.Identity // what the handler found
	user      string
}

// outer returns an interceptor to run outside.
func (w *witness) outer() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		w.err = next(ctx, call)
		w.decisions = call.Decisions().Recorded()
		return w.err
	})
}

// interceptor returns an interceptor to run inside.
func (w *witness) interceptor() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		w.inner = true
		return next(ctx, call)
	})
}

func (w *witness) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		w.handled = true
		w.identity, _ = authn.FromContext(ctx)
		w.user = authn.User.Or(ctx, "no one")
		return hauberktest.Echo(ctx, s)
	}}
}

// serve calls a server with an interceptor between the witness's interceptors.
func (w *witness) serve(ctx context.Context, t *testing.T, kind hauberk.Kind, x hauberk.Interceptor) hauberktest.Outcome {
	t.Helper()
	return w.serveIn(ctx, t, server(kind), x)
}

func (w *witness) serveIn(ctx context.Context, t *testing.T, cell hauberktest.Case, x hauberk.Interceptor) hauberktest.Outcome {
	t.Helper()
	return cell.StartWith(t, w.backend(), w.outer(), x, w.interceptor()).Call(ctx)
}

func TestAdmits(t *testing.T) {
	for _, value := range []string{"Bearer good", "bearer good", "BEARER  good"} {
		t.Run(value, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var w witness
				out := w.serve(with(t.Context(), value), t, kind, authn.New(authn.Config{}, authn.Bearer(check)))
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				if w.identity.String() != "alice" || w.identity.Issuer != "tests" || w.user != "alice" {
					t.Errorf("the handler found the identity %v and the user %q; want alice", w.identity, w.user)
				}
				if len(w.decisions) != 0 {
					t.Errorf("decisions %v; want none of a call that was admitted", w.decisions)
				}
			})
		})
	}
}

func TestRejects(t *testing.T) {
	missing, malformed := authn.ReasonMissingToken, authn.ReasonMalformedToken
	tests := []struct {
		name    string
		values  []string
		reason  string
		message string
		cause   error
	}{
		{"nothing", nil, missing, "Missing or invalid token", authn.ErrMissingToken},
		{"empty value", []string{""}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"scheme alone", []string{"Bearer"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"empty token", []string{"Bearer "}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"no space", []string{"Bearergood"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"another scheme", []string{"Basic Z29vZA=="}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"two tokens", []string{"Bearer good bad"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"joined", []string{"Bearer good,Bearer good"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"doubled", []string{"Bearer good", "Bearer good"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"bad, good", []string{"Bearer bad", "Bearer good"}, malformed, "Missing or invalid token", authn.ErrMalformedToken},
		{"unknown", []string{"Bearer bad"}, authn.ReasonInvalidToken, "Invalid token", authn.ErrInvalidToken},
		{"in another case", []string{"Bearer GOOD"}, authn.ReasonInvalidToken, "Invalid token", authn.ErrInvalidToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var w witness
				out := w.serve(with(t.Context(), test.values...), t, kind, authn.New(authn.Config{}, authn.Bearer(check)))
				wantStatus(t, out.Err, codes.Unauthenticated, test.message)
				if got := hauberk.Reason(out.Err); got != test.reason {
					t.Errorf("the client received the reason %q; want %q", got, test.reason)
				}
				wantRejected(t, &w, test.reason, test.cause)
			})
		})
	}
}

// wantRejected checks that nothing inside ran, and what is known of it on the
// server.
func wantRejected(t *testing.T, w *witness, reason string, cause error) {
	t.Helper()
	if w.inner || w.handled {
		t.Errorf("the inner interceptor ran: %t, the handler: %t; want neither", w.inner, w.handled)
	}
	if !errors.Is(w.err, cause) {
		t.Errorf("the outcome on the server is %v; want one that wraps %v", w.err, cause)
	}
	want := hauberk.Decision{Interceptor: "authn", Verdict: hauberk.Rejected, Reason: reason}
	if len(w.decisions) != 1 || w.decisions[0] != want {
		t.Errorf("decisions %v; want %v", w.decisions, want)
	}
}

func wantStatus(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != code || st.Message() != message {
		t.Errorf("%s, %q; want %s, %q", st.Code(), st.Message(), code, message)
	}
}

// A call is rejected on its headers: its client has sent nothing else, and does not
// half-close.
func TestRejectsBeforeReading(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		env := server(kind).Start(t, authn.New(authn.Config{}, authn.Bearer(check)))
		desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
		stream, err := env.Client.NewStream(t.Context(), desc, hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, stream.RecvMsg(&testpb.Response{}), codes.Unauthenticated, "Missing or invalid token")
	})
}

// A caller without a token does not learn which methods exist.
func TestRejectsUnknownMethods(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		env := server(kind).Start(t, authn.New(authn.Config{}, authn.Bearer(check)))
		requests := []*testpb.Request{{}}
		out := env.Do(t.Context(), "/hauberk.test.v1.TestService/None", requests)
		wantStatus(t, out.Err, codes.Unauthenticated, "Missing or invalid token")
		out = env.Do(with(t.Context(), "Bearer good"), "/hauberk.test.v1.TestService/None", requests)
		if got := status.Code(out.Err); got != codes.Unimplemented {
			t.Errorf("%s with a good token; want %s", got, codes.Unimplemented)
		}
	})
}

func TestValidatorFails(t *testing.T) {
	withDetails, err := status.New(codes.PermissionDenied, "blocked").WithDetails(&errdetails.Help{})
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom: the token is s3cret")
	failed := authn.ReasonValidationFailed
	tests := []struct {
		name     string
		validate authn.Validator
		code     codes.Code
		message  string
		reason   string
		cause    error
	}{
		{"any error", failing(boom), codes.Unavailable, "Token validation failed", failed, boom},
		{"its sentinel", failing(boom), codes.Unavailable, "Token validation failed", failed, authn.ErrValidation},
		{
			"a status", failing(status.Error(codes.Unavailable, "validator down")),
			codes.Unavailable, "validator down", failed, authn.ErrValidation,
		},
		{
			"a wrapped status", failing(fmt.Errorf("s3cret: %w", status.Error(codes.ResourceExhausted, "busy"))),
			codes.ResourceExhausted, "busy", failed, authn.ErrValidation,
		},
		{
			"a status with details", failing(withDetails.Err()),
			codes.PermissionDenied, "blocked", authn.ReasonPermissionDenied, authn.ErrPermissionDenied,
		},
		{
			"UNAUTHENTICATED", failing(status.Error(codes.Unauthenticated, "revoked")),
			codes.Unauthenticated, "revoked", authn.ReasonInvalidToken, authn.ErrInvalidToken,
		},
		{
			"UNKNOWN", failing(status.Error(codes.Unknown, "s3cret")),
			codes.Unavailable, "Token validation failed", failed, authn.ErrValidation,
		},
		{
			"UNKNOWN, and what it is", failing(fmt.Errorf("%w: %w", authn.ErrInvalidToken, status.Error(codes.Unknown, "s3cret"))),
			codes.Unauthenticated, "Invalid token", authn.ReasonInvalidToken, authn.ErrInvalidToken,
		},
		{
			"expired", failing(fmt.Errorf("s3cret: %w", authn.ErrTokenExpired)),
			codes.Unauthenticated, "Token expired", authn.ReasonTokenExpired, authn.ErrTokenExpired,
		},
		{
			"a rejection", failing(&hauberk.Rejection{Code: codes.PermissionDenied, Reason: "BLOCKED", Message: "you are blocked", Cause: boom}),
			codes.PermissionDenied, "you are blocked", "BLOCKED", boom,
		},
		{
			"a wrapped rejection", failing(fmt.Errorf("s3cret: %w", &hauberk.Rejection{Code: codes.PermissionDenied, Reason: "BLOCKED", Message: "you are blocked", Cause: boom})),
			codes.PermissionDenied, "you are blocked", "BLOCKED", boom,
		},
		{
			"its own deadline", failing(context.DeadlineExceeded),
			codes.Unavailable, "Token validation failed", failed, context.DeadlineExceeded,
		},
		{
			"nothing", func(context.Context, string) (*authn.Identity, error) { return nil, nil },
			codes.Internal, "Token validation failed", failed, authn.ErrValidation,
		},
		{
			"no one", func(context.Context, string) (*authn.Identity, error) { return &authn.Identity{Issuer: "x"}, nil },
			codes.Internal, "Token validation failed", failed, authn.ErrValidation,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var w witness
				out := w.serve(with(t.Context(), "Bearer good"), t, kind, authn.New(authn.Config{}, authn.Bearer(test.validate)))
				wantStatus(t, out.Err, test.code, test.message)
				if got := hauberk.Reason(out.Err); got != test.reason {
					t.Errorf("the client received the reason %q; want %q", got, test.reason)
				}
				wantRejected(t, &w, test.reason, test.cause)
				if test.name == "a status with details" {
					wantHelp(t, out.Err)
				}
			})
		})
	}
}

// A plain error says that the validator has failed. The cause is the error as it is: it goes to the log of
// the server.
func TestPlainErrorOfValidator(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var w witness
		plain := failing(errors.New("no such user"))
		out := w.serve(with(t.Context(), "Bearer good"), t, kind, authn.New(authn.Config{}, authn.Bearer(plain)))
		wantStatus(t, out.Err, codes.Unavailable, "Token validation failed")
		want := authn.ErrValidation.Error() + "\nno such user"
		if r := hauberk.RejectionOf(w.err); r == nil || r.Cause.Error() != want {
			t.Errorf("%v; want the cause %q", w.err, want)
		}
	})
}

func wantHelp(t *testing.T, err error) {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if _, ok := d.(*errdetails.Help); ok {
			return
		}
	}
	t.Errorf("the details of the validator's status are lost: %v", status.Convert(err).Details())
}

// A validator's panic is recovery's, not an answer of this interceptor.
func TestValidatorPanics(t *testing.T) {
	validate := func(context.Context, string) (*authn.Identity, error) { panic("s3cret") }
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var w witness
		chain := []hauberk.Interceptor{guard(), w.outer(), authn.New(authn.Config{}, authn.Bearer(validate)), w.interceptor()}
		out := server(kind).StartWith(t, w.backend(), chain...).Call(with(t.Context(), "Bearer good"))
		wantStatus(t, out.Err, codes.Internal, recovery.DefaultMessage)
		if w.inner || w.handled || !errors.Is(w.err, recovery.ErrPanic) {
			t.Errorf("%s: inner %t, handler %t, outcome %v; want the panic alone", kind, w.inner, w.handled, w.err)
		}
	})
}

// The context of a slow validator ends with the call, and with any later result the
// handler does not run.
func TestSlowValidator(t *testing.T) {
	answers := map[string]func(ctx context.Context) (*authn.Identity, error){
		"gives up":  func(ctx context.Context) (*authn.Identity, error) { return nil, ctx.Err() },
		"fails":     func(context.Context) (*authn.Identity, error) { return nil, errors.New("interrupted") },
		"too late":  func(context.Context) (*authn.Identity, error) { return &authn.Identity{Subject: "alice"}, nil },
		"gives why": func(ctx context.Context) (*authn.Identity, error) { return nil, fmt.Errorf("asked: %w", ctx.Err()) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				ctx, cancel := context.WithCancel(with(t.Context(), "Bearer good"))
				ended := make(chan struct{})
				validate := func(ctx context.Context, _ string) (*authn.Identity, error) {
					cancel()
					<-ctx.Done()
					defer close(ended)
					return answer(ctx)
				}
				w := &witness{}
				returned := make(chan struct{})
				last := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					defer close(returned)
					return next(ctx, call)
				})
				out := server(kind).StartWith(t, w.backend(), last, w.outer(), authn.New(authn.Config{}, authn.Bearer(validate)), w.interceptor()).Call(ctx)
				if status.Code(out.Err) != codes.Canceled {
					t.Errorf("the client got %v; want %s", out.Err, codes.Canceled)
				}
				<-ended
				<-returned
				if got := hauberk.StatusOf(w.err).Code(); got != codes.Canceled || w.inner || w.handled {
					t.Errorf("on the server %s, inner %t, handler %t; want %s alone", got, w.inner, w.handled, codes.Canceled)
				}
				if len(w.decisions) != 0 {
					t.Errorf("decisions %v of a call that its client ended", w.decisions)
				}
			})
		})
	}
}

// Only what the validator says is read as an answer about the token: errors from
// inside pass unchanged.
func TestErrorsFromFurtherIn(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		inner := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return fmt.Errorf("%w: %w", authn.ErrInvalidToken, status.Error(codes.NotFound, "no such cart"))
		})
		out := server(kind).Start(t, authn.New(authn.Config{}, authn.Bearer(check)), inner).Call(with(t.Context(), "Bearer good"))
		wantStatus(t, out.Err, codes.NotFound, "no such cart")
	})
}

func TestPublic(t *testing.T) {
	const full = "hauberk.test.v1.TestService"
	tests := []struct {
		patterns []string
		public   bool
	}{
		{nil, false},
		{[]string{"*"}, true},
		{[]string{full + "/*"}, true},
		{[]string{hauberk.Health, "/" + full + "/*"}, true},
		{[]string{"hauberk.test.*"}, true},
		{[]string{hauberk.Health}, false},
	}
	for _, kind := range kinds {
		own := hauberktest.FullMethod(kind)
		tests := append(slices.Clip(tests), []struct {
			patterns []string
			public   bool
		}{
			{[]string{own}, true},
			{[]string{own[1:]}, true},
		}...)
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s/%q", kind, test.patterns), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var w witness
				asked := false
				validate := func(ctx context.Context, token string) (*authn.Identity, error) {
					asked = true
					return check(ctx, token)
				}
				x := authn.New(authn.Config{}, authn.Bearer(validate))
				cell := server(kind).With(hauberk.Config{Public: test.patterns})
				out := w.serveIn(with(t.Context(), "Bearer bad"), t, cell, x)
				if w.handled != test.public || (out.Err == nil) != test.public || asked == test.public {
					t.Errorf("handled %t, validator asked %t, %v; want public: %t", w.handled, asked, out.Err, test.public)
				}
				if w.identity != nil || len(w.decisions) > 0 && test.public {
					t.Errorf("identity %v, decisions %v of a public call", w.identity, w.decisions)
				}
			})
		}
	}
}

// In shadow a call is let pass, and what would have been rejected is counted.
func TestShadow(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var w witness
		shadow := hauberk.Shadow(authn.New(authn.Config{}, authn.Bearer(check)))
		out := w.serve(with(t.Context(), "Bearer bad"), t, kind, shadow)
		if out.Err != nil || !w.handled || w.identity != nil {
			t.Errorf("%s: %v, handled %t, identity %v; want the call to pass without one", kind, out.Err, w.handled, w.identity)
		}
		want := hauberk.Decision{Interceptor: "authn", Verdict: hauberk.Rejected, Reason: authn.ReasonInvalidToken, Shadow: true}
		if len(w.decisions) != 1 || w.decisions[0] != want || shadow.Rejections() != 1 {
			t.Errorf("%s: decisions %v, %d rejections; want %v", kind, w.decisions, shadow.Rejections(), want)
		}
	})
}

func TestConfigurationErrors(t *testing.T) {
	tests := []struct {
		name string
		x    hauberk.Interceptor
		want string
	}{
		{"no validator", authn.New(authn.Config{}, authn.Bearer(nil)), "hauberk: interceptor 1: authn: Bearer has no Validator"},
		{"no method", authn.New(authn.Config{}), "hauberk: interceptor 1: authn: it has no Method; want one, such as authn.Bearer(validate)"},
		{"nil method", authn.New(authn.Config{}, authn.Bearer(check), nil), "hauberk: interceptor 1: authn: method 2 of 2 is nil"},
		{"no tokens", authn.New(authn.Config{}, authn.Bearer(check, authn.CacheTokens(0, 0))), "hauberk: interceptor 1: authn: " +
			"CacheTokens has 0 tokens for 0s; want at least 1 token, and a time of 0 or more"},
		{"grace", authn.New(authn.Config{Grace: -1}, authn.Bearer(check)), "hauberk: interceptor 1: authn: " +
			"Config.Grace is -1ns; want 0, or how long streams outlive their credential"},
		{"zero value", &authn.Interceptor{}, "hauberk: interceptor 1: authn: it has no Method; want one, such as authn.Bearer(validate)"},
		{"no source", authn.NewClient(nil, authn.ClientConfig{AllowClearText: true}), "hauberk: interceptor 1: authn: its TokenSource is nil; give authn.NewClient one, such as authn.StaticToken(token)"},
		{"zero client", &authn.Client{}, "hauberk: interceptor 1: authn: its TokenSource is nil; give authn.NewClient one, such as authn.StaticToken(token)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := hauberk.New(test.x); err == nil || err.Error() != test.want {
				t.Errorf("%v; want %s", err, test.want)
			}
		})
	}
}

// Each works on one side, and cannot be attached to the other.
func TestSides(t *testing.T) {
	for x, sides := range map[hauberk.Declarer]hauberk.Sides{
		authn.New(authn.Config{}, authn.Bearer(check)):                                    hauberk.OnlyServers,
		authn.NewClient(authn.StaticToken("t"), authn.ClientConfig{AllowClearText: true}): hauberk.OnlyClients,
	} {
		if got := x.Declare().Sides; got != sides {
			t.Errorf("%T works on %v, want %v", x, got, sides)
		}
	}
}

// An interceptor that reads the user must run inside.
func TestOrderIsProven(t *testing.T) {
	byUser := reader{}
	if _, err := hauberk.New(authn.New(authn.Config{}, authn.Bearer(check)), byUser); err != nil {
		t.Error(err)
	}
	if _, err := hauberk.New(byUser, authn.New(authn.Config{}, authn.Bearer(check))); err == nil {
		t.Error("no error for a chain in which the user is read before it is known")
	}
}

type reader struct{}

func (reader) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "reader", Reads: []hauberk.StateKey{authn.User, authn.Key}}
}

func (reader) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func TestCoverage(t *testing.T) {
	const public = "hauberk.test.v1.TestService/Unary"
	chain := hauberk.Must(hauberk.Config{Public: []string{public}}.New(
		hauberk.Except(public, authn.New(authn.Config{}, authn.Bearer(check))),
	))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	coverage := chain.Coverage(srv.GetServiceInfo())
	if err := coverage.Err(); err != nil || !coverage.Authenticates {
		t.Errorf("authenticates %t, %v; want a chain that authenticates all that is not public", coverage.Authenticates, err)
	}
}

// Concurrent calls have separate identities.
func TestConcurrentCalls(t *testing.T) {
	validate := func(_ context.Context, token string) (*authn.Identity, error) {
		return &authn.Identity{Subject: token}, nil
	}
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			if user := authn.User.Or(ctx, ""); user != req.GetText() {
				return status.Errorf(codes.Internal, "%s calls as %q", req.GetText(), user)
			}
			return s.Send(&testpb.Response{})
		}}
		env := server(kind).StartWith(t, backend, authn.New(authn.Config{}, authn.Bearer(validate)))
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				user := fmt.Sprintf("user-%d", i)
				if out := env.Call(with(t.Context(), "Bearer "+user), user); out.Err != nil {
					t.Error(out.Err)
				}
			})
		}
		wg.Wait()
	})
}

// What is logged of an identity is its subject: claims may say anything.
func TestIdentityAsText(t *testing.T) {
	id := &authn.Identity{Subject: "alice", Claims: map[string]any{"email": "s3cret"}}
	for _, got := range []string{fmt.Sprintf("%+v", id), id.String(), id.LogValue().String()} {
		if got != "alice" {
			t.Errorf("%q; want the subject", got)
		}
	}
	if got := (*authn.Identity)(nil).String(); got != "" {
		t.Errorf("a nil Identity is %q as text", got)
	}
}
