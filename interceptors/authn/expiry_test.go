package authn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"math"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// until accepts any token, for a while.
func until(d time.Duration) authn.Validator {
	expires := time.Now().Add(d)
	return func(context.Context, string) (*authn.Identity, error) {
		return &authn.Identity{Subject: "alice", Expires: expires}, nil
	}
}

// pass lets time pass, in a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

// handlers are ways to be busy when a token expires. Each returns when it can go on
// no longer.
var handlers = map[string]func(ctx context.Context, s hauberktest.Stream) error{
	"waits for its context": func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		return context.Cause(ctx)
	},
	"takes its context's end for its own": func(ctx context.Context, s hauberktest.Stream) error {
		<-ctx.Done()
		_ = s.Send(&testpb.Response{})
		return nil
	},
	"works on": func(ctx context.Context, s hauberktest.Stream) error {
		for ctx.Err() == nil {
			pass(time.Minute)
		}
		return hauberktest.Echo(ctx, s)
	},
	"receives": func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
	},
	"sends": func(_ context.Context, s hauberktest.Stream) error {
		for {
			if err := s.Send(&testpb.Response{Payload: make([]byte, 1<<10)}); err != nil {
				return err
			}
			pass(time.Minute)
		}
	},
}

// canBe says which handlers of a kind do not end by themselves, with a client that
// does not half-close.
func canBe(name string, kind hauberk.Kind) bool {
	switch name {
	case "receives":
		return kind.ClientStreams()
	case "sends":
		return kind.ServerStreams()
	default:
		return true
	}
}

// eachHandler runs a test for each way to be busy that each kind of call has.
func eachHandler(t *testing.T, test func(*testing.T, hauberk.Kind, func(context.Context, hauberktest.Stream) error)) {
	t.Helper()
	for name, handle := range handlers {
		for _, kind := range kinds {
			if !canBe(name, kind) {
				continue
			}
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) { test(t, kind, handle) })
			})
		}
	}
}

// A call ends for its client when its token expires, even if its handler goes on, and
// its handler is released.
func TestExpires(t *testing.T) {
	eachHandler(t, func(t *testing.T, kind hauberk.Kind, handle func(context.Context, hauberktest.Stream) error) {
		testEnds(t, kind, handle, expires())
	})
}

// TestRevoked: a call ends when its token is revoked, as it does when the token expires.
func TestRevoked(t *testing.T) {
	eachHandler(t, func(t *testing.T, kind hauberk.Kind, handle func(context.Context, hauberktest.Stream) error) {
		revoked := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(revoked) })
		testEnds(t, kind, handle, ended{
			validate: func(context.Context, string) (*authn.Identity, error) {
				return &authn.Identity{Subject: "alice", Revoked: revoked}, nil
			},
			after: time.Hour, message: "Token revoked",
			reason: authn.ReasonTokenRevoked, cause: authn.ErrTokenRevoked,
		})
	})
}

// TestGrace: a stream goes on for the grace period, but no new call is admitted.
func TestGrace(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		in := expires()
		in.after, in.config.Grace = time.Hour+20*time.Minute, 20*time.Minute
		testEnds(t, hauberk.Bidi, handlers["waits for its context"], in)
	})
	synctest.Test(t, func(t *testing.T) {
		env := server(hauberk.Bidi).Start(t, authn.New(authn.Config{Grace: time.Minute}, authn.Bearer(until(time.Hour))))
		pass(time.Hour)
		wantStatus(t, env.Call(with(t.Context(), "Bearer good")).Err, codes.Unauthenticated, "Token expired")
	})
}

// TestGraceOfLateExpiry: a grace period never shortens the life of a credential, however late that
// expires. 9999-12-31 is the expiry of certificates without one (RFC 5280, 4.1.2.5).
func TestGraceOfLateExpiry(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, grace := range []time.Duration{0, time.Second, math.MaxInt64} {
		synctest.Test(t, func(t *testing.T) {
			validate := func(context.Context, string) (*authn.Identity, error) {
				return &authn.Identity{Subject: "alice", Expires: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}, nil
			}
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				pass(time.Hour)
				if err := context.Cause(ctx); err != nil {
					return err
				}
				return hauberktest.Echo(ctx, s)
			}}
			env := server(hauberk.Bidi).StartWith(t, backend, authn.New(authn.Config{Grace: grace}, authn.Bearer(validate)))
			if out := env.Call(with(t.Context(), "Bearer good")); out.Err != nil {
				t.Errorf("grace %v: %v; want OK", grace, out.Err)
			}
		})
	}
}

// A call that ends before its token is revoked leaves nothing behind.
func TestNotRevoked(t *testing.T) {
	revoked := make(chan struct{})
	validate := func(context.Context, string) (*authn.Identity, error) {
		return &authn.Identity{Subject: "alice", Revoked: revoked}, nil
	}
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		hauberktest.CheckLeaks(t)
		env := server(kind).Start(t, authn.New(authn.Config{ExpireUnary: true}, authn.Bearer(validate)))
		if out := env.Call(with(t.Context(), "Bearer good")); out.Err != nil {
			t.Error(out.Err)
		}
	})
}

// ended is how a token ends while its call is open, and what becomes of the call.
type ended struct {
	validate authn.Validator
	config   authn.Config
	after    time.Duration
	message  string
	reason   string
	cause    error
}

// expires is a token that expires after an hour.
func expires() ended {
	return ended{
		validate: until(time.Hour), after: time.Hour,
		message: "Token expired", reason: authn.ReasonTokenExpired, cause: authn.ErrTokenExpired,
	}
}

func testEnds(t *testing.T, kind hauberk.Kind, handle func(context.Context, hauberktest.Stream) error, in ended) {
	t.Helper()
	var w witness
	var cause error
	returned := make(chan struct{})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		err := handle(ctx, s)
		cause = context.Cause(ctx)
		return err
	}}
	outermost := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		defer close(returned)
		return next(ctx, call)
	})
	in.config.ExpireUnary = true
	x := authn.New(in.config, authn.Bearer(in.validate))
	env := server(kind).StartWith(t, backend, outermost, w.outer(), x)

	start := time.Now()
	err := callAndWait(t, env, kind)
	wantStatus(t, err, codes.Unauthenticated, in.message)
	if got := hauberk.Reason(err); got != in.reason {
		t.Errorf("the client received the reason %q; want %q", got, in.reason)
	}
	if took := time.Since(start); took < in.after || took > in.after+time.Minute {
		t.Errorf("the call took %v; want %v", took, in.after)
	}
	<-returned
	if !errors.Is(cause, in.cause) {
		t.Errorf("the handler's context ended with %v; want %v", cause, in.cause)
	}
	if !errors.Is(w.err, in.cause) {
		t.Errorf("the outcome on the server is %v; want one that wraps %v", w.err, in.cause)
	}
	want := hauberk.Decision{Interceptor: "authn", Verdict: hauberk.Rejected, Reason: in.reason}
	if len(w.decisions) != 1 || w.decisions[0] != want {
		t.Errorf("decisions %v; want %v", w.decisions, want)
	}
}

// callAndWait makes a call that does not half-close, except of a unary method, and
// reads it to its end.
func callAndWait(t *testing.T, env *hauberktest.Env, kind hauberk.Kind) error {
	t.Helper()
	ctx := with(t.Context(), "Bearer good")
	if kind == hauberk.Unary {
		return env.Call(ctx).Err
	}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := env.Client.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err == nil {
		err = stream.SendMsg(&testpb.Request{})
	}
	if err == nil && !kind.ClientStreams() {
		err = stream.CloseSend()
	}
	for err == nil {
		err = stream.RecvMsg(&testpb.Response{})
	}
	return err
}

// A unary call that was begun with a good token is let finish.
func TestUnaryOutlivesItsToken(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			pass(2 * time.Hour)
			return hauberktest.Echo(ctx, s)
		}}
		env := server(hauberk.Unary).StartWith(t, backend, authn.New(authn.Config{}, authn.Bearer(until(time.Hour))))
		if out := env.Call(with(t.Context(), "Bearer good")); out.Err != nil {
			t.Error(out.Err)
		}
	})
}

// A token that is past its time is rejected, to the moment.
func TestExpiredAlready(t *testing.T) {
	tests := []struct {
		after time.Duration
		code  codes.Code
	}{
		{time.Hour - 1, codes.OK},
		{time.Hour, codes.Unauthenticated},
		{time.Hour + 1, codes.Unauthenticated},
	}
	for _, test := range tests {
		for _, kind := range kinds {
			t.Run(test.after.String()+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) {
					env := server(kind).Start(t, authn.New(authn.Config{}, authn.Bearer(until(time.Hour))))
					pass(test.after)
					out := env.Call(with(t.Context(), "Bearer good"))
					if st := status.Convert(out.Err); st.Code() != test.code {
						t.Errorf("%v; want %s", out.Err, test.code)
					}
					if out.Err != nil && hauberk.Reason(out.Err) != authn.ReasonTokenExpired {
						t.Errorf("reason %q; want %q", hauberk.Reason(out.Err), authn.ReasonTokenExpired)
					}
				})
			})
		}
	}
}

// Headers and trailers that were set before the token expired are still sent.
func TestExpiresWithMetadata(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			_ = s.SetHeader(metadata.Pairs("x-header", "h"))
			s.SetTrailer(metadata.Pairs("x-trailer", "t"))
			<-ctx.Done()
			return nil
		}}
		env := server(hauberk.Bidi).StartWith(t, backend, authn.New(authn.Config{}, authn.Bearer(until(time.Hour))))
		out := env.Call(with(t.Context(), "Bearer good"))
		wantStatus(t, out.Err, codes.Unauthenticated, "Token expired")
		if len(out.Header.Get("x-header")) != 1 || len(out.Trailer.Get("x-trailer")) != 1 {
			t.Errorf("header %v, trailer %v; want one value each of the handler's", out.Header, out.Trailer)
		}
	})
}

// What ended before its token expired keeps its own outcome, however long its
// handler takes to notice.
func TestCancelledBeforeExpiry(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		var w witness
		returned := make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
			<-ctx.Done()
			pass(2 * time.Hour)
			return ctx.Err()
		}}
		last := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			defer close(returned)
			return next(ctx, call)
		})
		env := server(hauberk.Bidi).StartWith(t, backend, last, w.outer(), authn.New(authn.Config{}, authn.Bearer(until(time.Hour))))
		ctx, cancel := context.WithTimeout(with(t.Context(), "Bearer good"), time.Minute)
		defer cancel()
		if out := env.Call(ctx); status.Code(out.Err) != codes.DeadlineExceeded {
			t.Errorf("%v; want %s", out.Err, codes.DeadlineExceeded)
		}
		<-returned
		if errors.Is(w.err, authn.ErrTokenExpired) {
			t.Errorf("the outcome on the server is %v; want that of the client's deadline", w.err)
		}
	})
}

// The same under net/http, where grpc-go has another transport.
func TestExpiresUnderServeHTTP(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var began atomic.Bool // not if the machine is so slow that the token expires before
	returned := make(chan struct{})
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		began.Store(true)
		_, err := s.Recv()
		for err == nil {
			_, err = s.Recv()
		}
		close(returned)
		return err
	}}
	srv := hauberk.Must(hauberk.New(authn.New(authn.Config{}, authn.Bearer(until(100*time.Millisecond))))).NewServer()
	testpb.RegisterTestServiceServer(srv, backend)
	web := httptest.NewUnstartedServer(srv)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer srv.Stop()
	defer web.Close()

	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	conn, err := grpc.NewClient(web.Listener.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "example.com")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := testpb.NewTestServiceClient(conn).Bidi(with(t.Context(), "Bearer good"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unauthenticated, "Token expired")
	if began.Load() {
		<-returned
	}
}

// In shadow a stream goes on when its token expires, and is counted.
func TestExpiresInShadow(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			pass(2 * time.Hour)
			return hauberktest.Echo(ctx, s)
		}}
		shadow := hauberk.Shadow(authn.New(authn.Config{}, authn.Bearer(until(time.Hour))))
		out := server(hauberk.Bidi).StartWith(t, backend, shadow).Call(with(t.Context(), "Bearer good"))
		if out.Err != nil || shadow.Rejections() != 1 {
			t.Errorf("%v, %d rejections; want an OK call and 1", out.Err, shadow.Rejections())
		}
	})
}

// Tokens that expire at any moment of a call's life, its end included: the call is
// OK or says so, and nothing else.
func TestExpiresAtAnyMoment(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var n atomic.Int64
		validate := func(context.Context, string) (*authn.Identity, error) {
			left := time.Duration(n.Add(1)%50) * 10 * time.Microsecond
			return &authn.Identity{Subject: "alice", Expires: time.Now().Add(left)}, nil
		}
		env := server(kind).Start(t, authn.New(authn.Config{ExpireUnary: true}, authn.Bearer(validate)))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					out := env.Call(with(t.Context(), "Bearer good"), "a", "b", "c")
					if code := status.Code(out.Err); code != codes.OK && hauberk.Reason(out.Err) != authn.ReasonTokenExpired {
						t.Errorf("%v; want OK or %s", out.Err, authn.ReasonTokenExpired)
					}
				}
			})
		}
		wg.Wait()
	})
}
