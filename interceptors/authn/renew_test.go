package authn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// gate is a backend that accepts one token, as a server that rejects others before its handler.
type gate struct {
	mu    sync.Mutex
	good  string
	calls []string // the authorization of each
}

func (g *gate) accept(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good = token
}

func (g *gate) seen() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.calls...)
}

func (g *gate) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		token := strings.TrimPrefix(metadata.ValueFromIncomingContext(ctx, "authorization")[0], "Bearer ")
		g.mu.Lock()
		g.calls = append(g.calls, token)
		good := token == g.good
		g.mu.Unlock()
		if !good {
			s.SetTrailer(metadata.Pairs(authn.Unprocessed, "1"))
			return status.Error(codes.Unauthenticated, "Invalid token")
		}
		return hauberktest.Echo(ctx, s)
	}}
}

// TestRenewed: a token that the server rejects is replaced, once for all calls, and each call is
// made once more.
func TestRenewed(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		hauberktest.CheckLeaks(t)
		synctest.Test(t, func(t *testing.T) {
			i, g := new(issuer), &gate{good: "token2"}
			source := authn.NewRefresher(i.fetch, authn.RefreshConfig{})
			env := client(kind).StartWith(t, g.backend(), authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					if err := withoutMessages(t.Context(), env, kind); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if i.made != 2 {
				t.Errorf("%d tokens were fetched; want 2", i.made)
			}
			if n := len(g.seen()); n < 6 || n > 10 { // a late call begins with the second token
				t.Errorf("the server saw %v; want no call more than twice", g.seen())
			}
		})
	})
}

// withoutMessages makes a call that sends no message before the server has rejected it, except
// of a method with a single request.
func withoutMessages(ctx context.Context, env *hauberktest.Env, kind hauberk.Kind) error {
	stream, err := opened(ctx, env, kind)
	if stream == nil {
		return err
	}
	pass(2 * time.Minute) // the answer to the first attempt arrives, and is replaced
	if err := stream.SendMsg(&testpb.Request{}); err != nil {
		return errors.Join(err, stream.RecvMsg(&testpb.Response{}))
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(&testpb.Response{})
}

// opened opens a client's stream. It makes the whole call of another method, and returns nil and
// its outcome.
func opened(ctx context.Context, env *hauberktest.Env, kind hauberk.Kind) (grpc.ClientStream, error) {
	if !kind.ClientStreams() {
		return nil, env.Call(ctx).Err
	}
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind.ServerStreams()}
	return env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
}

// TestRenewedOnce: a server that rejects each token sees two attempts, and the issuer is not
// asked for each call.
func TestRenewedOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		hauberktest.CheckLeaks(t)
		synctest.Test(t, func(t *testing.T) {
			i, g := new(issuer), new(gate)
			source := authn.NewRefresher(i.fetch, authn.RefreshConfig{MinInterval: time.Minute})
			env := client(kind).StartWith(t, g.backend(), authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
			_, _ = source.Token(t.Context())
			pass(time.Hour / 2)
			for call, want := range []int{2, 3, 4} { // only the first finds a token that is old enough
				if err := withoutMessagesAtOnce(t.Context(), env, kind); status.Code(err) != codes.Unauthenticated {
					t.Errorf("%v; want UNAUTHENTICATED", err)
				}
				if n := len(g.seen()); n != want {
					t.Errorf("call %d: %v; want %d attempts", call, g.seen(), want)
				}
			}
			if i.made != 2 {
				t.Errorf("%d tokens were fetched; want 2", i.made)
			}
		})
	})
}

// withoutMessagesAtOnce opens a stream and receives.
func withoutMessagesAtOnce(ctx context.Context, env *hauberktest.Env, kind hauberk.Kind) error {
	stream, err := opened(ctx, env, kind)
	if stream == nil {
		return err
	}
	return stream.RecvMsg(&testpb.Response{})
}

// TestSuspectedTokenServes: the UNAUTHENTICATED of one call's handler, about something else than the token,
// takes the token from no other call: neither while the next one is fetched, nor if that fails.
func TestSuspectedTokenServes(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if metadata.ValueFromIncomingContext(ctx, "card") != nil {
			return status.Error(codes.Unauthenticated, "the card was not accepted")
		}
		s.SetTrailer(metadata.Pairs("token", metadata.ValueFromIncomingContext(ctx, "authorization")[0]))
		return hauberktest.Echo(ctx, s)
	}}
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		hauberktest.CheckLeaks(t)
		synctest.Test(t, func(t *testing.T) {
			i := new(issuer)
			source := authn.NewRefresher(i.fetch, authn.RefreshConfig{})
			env := client(kind).StartWith(t, backend, authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
			_, _ = source.Token(t.Context())
			pass(time.Minute)
			i.fail(status.Error(codes.Unavailable, "the issuer is down"))
			want := func(token string) {
				t.Helper()
				start := time.Now()
				out := env.Call(t.Context())
				if out.Err != nil || out.Trailer.Get("token")[0] != "Bearer "+token || time.Since(start) != 0 {
					t.Errorf("%v, %v after %v; want %s at once", out.Err, out.Trailer, time.Since(start), token)
				}
			}
			rejected := func() {
				t.Helper()
				start := time.Now()
				ctx := metadata.AppendToOutgoingContext(t.Context(), "card", "1")
				if err := env.Call(ctx).Err; status.Code(err) != codes.Unauthenticated || time.Since(start) != 0 {
					t.Errorf("%v after %v; want UNAUTHENTICATED at once", err, time.Since(start))
				}
			}
			for range 10 {
				rejected()
				want("token1")
				pass(300 * time.Millisecond)
			}
			if n := i.fetches(); n > 3 {
				t.Errorf("%d fetches in 3 s; want at most one every two seconds after the first", n)
			}
			pass(2 * time.Second) // the last fetch fails
			i.fail(nil)
			want("token1") // and begins the fetch
			pass(2 * time.Second)
			want(fmt.Sprint("token", i.fetches()))
		})
	})
}

// TestSuspectedTokenRepeats: a call that may run twice waits for the next token, and other calls do not.
// If each UNAUTHENTICATED is a proof, the token is removed at once.
func TestSuspectedTokenRepeats(t *testing.T) {
	for name, test := range map[string]struct {
		method   string
		trust    bool
		attempts int
		wait     time.Duration // of the call
		others   time.Duration // that other calls wait for a token
	}{
		"not idempotent": {policypb.Plain_Do_FullMethodName, false, 1, 0, 0},
		"idempotent":     {policypb.Cart_List_FullMethodName, false, 2, time.Second, 0},
		"trust":          {policypb.Plain_Do_FullMethodName, true, 2, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := authn.NewRefresher(new(issuer).fetch, authn.RefreshConfig{})
				_, _ = source.Token(t.Context())
				pass(time.Minute)
				config := authn.ClientConfig{AllowClearText: true, TrustUnauthenticated: test.trust}
				chain := hauberk.Must(hauberk.New(authn.NewClient(source, config)))
				var conn rejectingConn
				start, ended := time.Now(), make(chan time.Duration, 1)
				go func() {
					_ = chain.ClientConn(&conn).Invoke(t.Context(), test.method, &testpb.Request{}, &testpb.Response{})
					ended <- time.Since(start)
				}()
				synctest.Wait()
				_, _ = source.Token(t.Context())
				if waited := time.Since(start); waited != test.others {
					t.Errorf("another call waited %v for a token; want %v", waited, test.others)
				}
				if took := <-ended; took != test.wait || conn.attempts != test.attempts {
					t.Errorf("%d attempts in %v; want %d in %v", conn.attempts, took, test.attempts, test.wait)
				}
				pass(2 * time.Second) // the fetch ends
			})
		})
	}
}

// TestNotRenewed: other outcomes, other sources and the caller's own authorization are left alone.
func TestNotRenewed(t *testing.T) {
	for name, test := range map[string]struct {
		source authn.TokenSource
		own    string
		want   int
	}{
		"a source that cannot": {authn.StaticToken("token1"), "", 1},
		"the caller's own":     {authn.NewRefresher(new(issuer).fetch, authn.RefreshConfig{}), "Bearer mine", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := new(gate)
				env := client(hauberk.Unary).StartWith(t, g.backend(), authn.NewClient(test.source, authn.ClientConfig{AllowClearText: true}))
				_, _ = test.source.Token(t.Context())
				pass(time.Minute)
				ctx := t.Context()
				if test.own != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "authorization", test.own)
				}
				if err := env.Call(ctx).Err; status.Code(err) != codes.Unauthenticated || len(g.seen()) != test.want {
					t.Errorf("%v, %v; want UNAUTHENTICATED after %d attempts", err, g.seen(), test.want)
				}
			})
		})
	}
}

// TestClearText: without transport security no token is sent, and nothing is renewed.
func TestClearText(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		g, i := new(gate), new(issuer)
		env := client(kind).StartWith(t, g.backend(), authn.NewClient(
			authn.NewRefresher(i.fetch, authn.RefreshConfig{MinInterval: time.Nanosecond}), authn.ClientConfig{}))
		err := env.Call(t.Context()).Err
		if status.Code(err) != codes.Unauthenticated || hauberk.Reason(err) != authn.ReasonClearText ||
			!errors.Is(err, authn.ErrClearText) || !strings.Contains(err.Error(), "AllowClearText") || len(g.seen()) != 0 || i.made != 1 {
			t.Errorf("%v, %v, %d tokens; want the reason %s and nothing sent", err, g.seen(), i.made, authn.ReasonClearText)
		}
	})
}

func TestFileToken(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write := func(content string) {
			synctest.Wait()
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			synctest.Wait()
		}
		write("first\n")
		var reports []string
		source := authn.NewFileToken(authn.FileTokenConfig{File: path, Failed: func(err error) {
			if err != nil {
				reports = append(reports, err.Error())
			}
		}})
		defer source.Close()
		g := &gate{good: "first"}
		env := client(hauberk.Unary).StartWith(t, g.backend(), authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
		expect := func(want string) {
			t.Helper()
			g.accept(want)
			if err := env.Call(t.Context()).Err; err != nil {
				t.Errorf("%v; want the token %s", err, want)
			}
		}
		expect("first")
		write("second")
		expect("second")
		write("s3cret garbage")
		expect("second")
		if len(reports) != 1 || strings.Contains(reports[0], "s3cret") || !strings.Contains(reports[0], path) {
			t.Errorf("reports %q; want one with the file and without its content", reports)
		}
	})
	for want, config := range map[string]authn.FileTokenConfig{
		"FileTokenConfig.File is empty": {},
		"no such file":                  {File: filepath.Join(t.TempDir(), "absent")},
	} {
		source := authn.NewFileToken(config)
		source.Close()
		if _, err := hauberk.New(authn.NewClient(source, authn.ClientConfig{})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if _, err := source.Token(t.Context()); err == nil {
			t.Error("a source without a file has a token")
		}
	}
	if err := new(authn.FileToken).Err(); err == nil {
		t.Error("the zero value has no error")
	}
}
