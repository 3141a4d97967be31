package authnintrospect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
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
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnintrospect"
)

func pass(d time.Duration) { <-time.After(d) }

func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// counting is an http.RoundTripper that answers after a time, and counts the requests that are open.
type counting struct {
	*endpoint

	open, most atomic.Int32
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.most.Store(max(c.most.Load(), c.open.Add(1)))
	defer c.open.Add(-1)
	return c.endpoint.RoundTrip(r)
}

// TestFloodOfTokens: callers without a credential open a limited number of requests. Other calls end at
// once with UNAVAILABLE. So it is for callers that cancel their calls, whose requests go on.
func TestFloodOfTokens(t *testing.T) {
	for _, limit := range []int{0, 5} {
		for _, kind := range kinds {
			synctest.Test(t, func(t *testing.T) {
				c := &counting{endpoint: answering(`{"active":false}`)}
				c.delay = 4 * time.Second
				m := authnintrospect.New(authnintrospect.Config{
					Endpoint: loopback, Client: &http.Client{Transport: c}, MaxRequests: limit,
				})
				env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, &hauberktest.Backend{}, authn.New(authn.Config{}, m))
				var busy atomic.Int32
				var all sync.WaitGroup
				for i := range 100 {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(bearer(t.Context(), fmt.Sprint("t", i)), time.Second)
						defer cancel()
						switch err := env.Call(ctx).Err; {
						case status.Code(err) == codes.Unavailable && hauberk.Reason(err) == authnintrospect.ReasonBusy:
							busy.Add(1)
						case status.Code(err) != codes.DeadlineExceeded:
							t.Errorf("%v; want %s or DEADLINE_EXCEEDED", err, authnintrospect.ReasonBusy)
						}
					})
				}
				all.Wait()
				synctest.Wait()
				want := int32(64)
				if limit > 0 {
					want = int32(limit)
				}
				if most := c.most.Load(); most != want || busy.Load() != 100-want {
					t.Errorf("%v: %d requests at once, %d calls ended with %s; want %d and %d",
						kind, most, busy.Load(), authnintrospect.ReasonBusy, want, 100-want)
				}
				if err := env.Call(bearer(t.Context(), "more")).Err; hauberk.Reason(err) != authnintrospect.ReasonBusy {
					t.Errorf("%v: %v while the requests go on; want %s", kind, err, authnintrospect.ReasonBusy)
				}
				pass(4 * time.Second)
				wantUnauthenticated(t, env.Call(bearer(t.Context(), "later")).Err, "Invalid token")
			})
		}
	}
}

func wantUnauthenticated(t *testing.T, err error, message string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != codes.Unauthenticated || st.Message() != message {
		t.Errorf("%v; want UNAUTHENTICATED, %q", err, message)
	}
}

// TestLargeToken: a large token is not sent to the endpoint.
func TestLargeToken(t *testing.T) {
	for _, test := range []struct {
		limit, size int
		admits      bool
	}{{0, 16 << 10, true}, {0, 16<<10 + 1, false}, {10, 10, true}, {10, 11, false}} {
		e := answering(`{"active":true,"sub":"a"}`)
		m := authnintrospect.New(authnintrospect.Config{Endpoint: loopback, Client: &http.Client{Transport: e}, MaxTokenBytes: test.limit})
		env := hauberktest.Case{Side: hauberk.ServerSide}.StartWith(t, &hauberktest.Backend{}, authn.New(authn.Config{}, m))
		err := env.Call(bearer(t.Context(), strings.Repeat("a", test.size))).Err
		if test.admits && err != nil || !test.admits && (status.Code(err) != codes.Unauthenticated || e.requests.Load() != 0) {
			t.Errorf("%d bytes, limit %d: %v, %d requests", test.size, test.limit, err, e.requests.Load())
		}
	}
}

// TestRevokedWhileOpen: streams end when the endpoint says that their token is not active any more. There is
// one request for all streams of a token, and none when they have ended.
func TestRevokedWhileOpen(t *testing.T) {
	for name, test := range map[string]struct {
		config authnintrospect.Config
		within time.Duration // 0: the streams go on
		fails  bool          // the endpoint
	}{
		"default":            {authnintrospect.Config{}, time.Minute, false},
		"as kept":            {authnintrospect.Config{KeepActive: time.Second}, time.Second, false},
		"not kept":           {authnintrospect.Config{KeepActive: -1}, time.Minute, false},
		"own interval":       {authnintrospect.Config{Recheck: 2 * time.Minute}, 2 * time.Minute, false},
		"never":              {authnintrospect.Config{Recheck: -1}, 0, false},
		"the endpoint fails": {authnintrospect.Config{}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range kinds[1:] {
				synctest.Test(t, func(t *testing.T) { testRevokedWhileOpen(t, kind, test.config, test.within, test.fails) })
			}
		})
	}
}

func testRevokedWhileOpen(t *testing.T, kind hauberk.Kind, config authnintrospect.Config, within time.Duration, fails bool) {
	t.Helper()
	var revoked atomic.Bool
	e := &endpoint{answer: func(url.Values) (int, string, string) {
		switch {
		case !revoked.Load():
			return 200, "application/json", `{"active":true,"sub":"a"}`
		case fails:
			return 500, "text/plain", ""
		default:
			return 200, "application/json", `{"active":false}`
		}
	}}
	config.Endpoint, config.Client = loopback, &http.Client{Transport: e}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Hour):
			return hauberktest.Echo(ctx, s)
		}
	}}
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, authn.New(authn.Config{}, authnintrospect.New(config)))
	var all sync.WaitGroup
	begin := time.Now()
	for range 3 {
		all.Go(func() {
			err, took := env.Call(bearer(t.Context(), "t")).Err, time.Since(begin)
			switch {
			case within == 0 && err != nil:
				t.Errorf("%v: %v after %v; want the stream to go on", kind, err, took)
			case within > 0 && (hauberk.Reason(err) != authn.ReasonTokenRevoked || took > time.Minute/2+within+time.Second):
				t.Errorf("%v: %v after %v; want %s within %v", kind, err, took, authn.ReasonTokenRevoked, within)
			}
		})
	}
	pass(time.Minute / 2)
	revoked.Store(true)
	all.Wait()
	synctest.Wait()
	n := e.requests.Load()
	pass(time.Hour)
	if e.requests.Load() != n {
		t.Errorf("%v: %d requests without a stream", kind, e.requests.Load()-n)
	}
	if within >= time.Minute && n > 4 {
		t.Errorf("%v: %d requests for three streams of a token", kind, n)
	}
}

// carried is a key of values in the context of a call.
type carried struct{}

// valueless is an http.RoundTripper that reports requests with a value of a call's context.
type valueless struct {
	*endpoint
	*testing.T
}

func (v valueless) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, incoming := metadata.FromIncomingContext(r.Context()); incoming || r.Context().Value(carried{}) != nil {
		v.Errorf("a request has a value of a call: %v", r.Context())
	}
	return v.endpoint.RoundTrip(r)
}

// TestRequestHasNoValues: nothing that a call carries reaches a request, whose answer all calls with the
// token share: neither the first, nor those for open streams.
func TestRequestHasNoValues(t *testing.T) {
	for _, kind := range kinds {
		synctest.Test(t, func(t *testing.T) {
			e := answering(`{"active":true,"sub":"a"}`)
			m := authnintrospect.New(authnintrospect.Config{
				Endpoint: loopback, Client: &http.Client{Transport: valueless{e, t}}, Recheck: time.Minute,
			})
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				return next(context.WithValue(ctx, carried{}, 1), call)
			})
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				pass(90 * time.Second)
				return hauberktest.Echo(ctx, s)
			}}
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend, outer, authn.New(authn.Config{}, m))
			if err := env.Call(bearer(t.Context(), "t")).Err; err != nil {
				t.Errorf("%v: %v", kind, err)
			}
			want := int32(2)
			if kind == hauberk.Unary {
				want = 1
			}
			if n := e.requests.Load(); n != want {
				t.Errorf("%v: %d requests; want %d", kind, n, want)
			}
		})
	}
}

// TestRevokedByAnotherCall: streams end at once if another call learns that the token is not active. An expired
// token is not revoked: its streams have the grace period.
func TestRevokedByAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		active := `{"active":true,"sub":"a"}`
		var body atomic.Value
		body.Store(active)
		e := &endpoint{answer: func(url.Values) (int, string, string) {
			return 200, "application/json", body.Load().(string)
		}}
		m := authnintrospect.New(authnintrospect.Config{
			Endpoint: loopback, Client: &http.Client{Transport: e}, KeepActive: -1, Recheck: 40 * time.Minute,
		})
		env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, &hauberktest.Backend{}, authn.New(authn.Config{Grace: time.Hour}, m))
		open := func() grpc.ClientStream { return open(t, env) }
		first := open()
		body.Store(`{"active":false}`)
		wantUnauthenticated(t, env.Call(bearer(t.Context(), "t")).Err, "Invalid token")
		wantUnauthenticated(t, first.RecvMsg(&testpb.Response{}), "Token revoked")

		pass(time.Minute)
		body.Store(fmt.Sprintf(`{"active":true,"sub":"a","exp":%d}`, time.Now().Add(30*time.Minute).Unix()))
		second, start := open(), time.Now()
		body.Store(`{"active":false}`)
		pass(31 * time.Minute)
		wantUnauthenticated(t, env.Call(bearer(t.Context(), "t")).Err, "Invalid token")
		wantUnauthenticated(t, second.RecvMsg(&testpb.Response{}), "Token expired")
		if took := time.Since(start); took < 90*time.Minute {
			t.Errorf("the stream ended after %v; want the grace period", took)
		}
	})
}

// open opens a stream with the token "t", which the server has admitted.
func open(t *testing.T, env *hauberktest.Env) grpc.ClientStream {
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := env.Client.NewStream(bearer(t.Context(), "t"), desc, hauberktest.FullMethod(hauberk.Bidi))
	if err = errors.Join(err, stream.SendMsg(&testpb.Request{}), stream.RecvMsg(&testpb.Response{})); err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestExtendedExpiry: the revocation of a token whose server extends its "exp" ends all of its streams, also those
// that began with an earlier "exp", in their grace period, and those that began after a stream had expired.
func TestExtendedExpiry(t *testing.T) {
	for name, test := range map[string]struct {
		recheck time.Duration
		never   bool // the extended token does not expire
		another bool // a call learns of the revocation
	}{
		"asked again":   {time.Minute, false, false},
		"never expires": {time.Minute, true, false},
		"another call":  {100 * time.Hour, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var revoked atomic.Bool
				start := time.Now()
				e := &endpoint{answer: func(url.Values) (int, string, string) {
					switch age := time.Since(start); {
					case revoked.Load():
						return 200, "application/json", `{"active":false}`
					case test.never && age > 30*time.Minute:
						return 200, "application/json", `{"active":true,"sub":"a"}`
					default:
						return 200, "application/json", fmt.Sprintf(`{"active":true,"sub":"a","exp":%d}`, time.Now().Add(time.Hour).Unix())
					}
				}}
				m := authnintrospect.New(authnintrospect.Config{
					Endpoint: loopback, Client: &http.Client{Transport: e}, Recheck: test.recheck, KeepInactive: -1,
				})
				env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, &hauberktest.Backend{},
					authn.New(authn.Config{Grace: 10 * time.Hour}, m))
				first := open(t, env)
				pass(50 * time.Minute)
				second := open(t, env)
				pass(15 * time.Minute) // the first one's identity has expired
				third := open(t, env)
				revoked.Store(true)
				at := time.Now()
				if test.another {
					pass(time.Minute + time.Second) // the last answer is not kept any more
					wantUnauthenticated(t, env.Call(bearer(t.Context(), "t")).Err, "Invalid token")
				}
				for i, stream := range []grpc.ClientStream{first, second, third} {
					wantUnauthenticated(t, stream.RecvMsg(&testpb.Response{}), "Token revoked")
					if took := time.Since(at); took > 2*time.Minute {
						t.Errorf("stream %d ended after %v; want 2m at most", i+1, took)
					}
				}
			})
		})
	}
}

// TestOthersDisplaceNone: a flood of tokens that are not active does not displace an active one, so that its
// callers need no further request.
func TestOthersDisplaceNone(t *testing.T) {
	e := &endpoint{answer: func(form url.Values) (int, string, string) {
		return http.StatusOK, "application/json", fmt.Sprintf(`{"active":%t,"sub":"alice"}`, form.Get("token") == "active")
	}}
	m := authnintrospect.New(authnintrospect.Config{Endpoint: loopback, Client: &http.Client{Transport: e}, MaxTokens: 10})
	env := hauberktest.Case{Side: hauberk.ServerSide}.StartWith(t, &hauberktest.Backend{}, authn.New(authn.Config{}, m))
	for round := range 3 {
		if err := env.Call(bearer(t.Context(), "active")).Err; err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			wantInvalid(t, env.Call(bearer(t.Context(), fmt.Sprintf("other-%d-%d", round, i))).Err)
		}
	}
	if n := e.requests.Load(); n != 1+3*50 {
		t.Errorf("%d requests; want one for the active token and %d for others", n, 3*50)
	}
}

// TestLastAnswerHolds: a call after the answer that the token is not active is rejected, also if only that of
// active tokens are kept.
func TestLastAnswerHolds(t *testing.T) {
	for _, inactive := range []time.Duration{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			var revoked atomic.Bool
			e := &endpoint{answer: func(url.Values) (int, string, string) {
				return http.StatusOK, "application/json", fmt.Sprintf(`{"active":%t,"sub":"alice"}`, !revoked.Load())
			}}
			m := authnintrospect.New(authnintrospect.Config{
				Endpoint: loopback, Client: &http.Client{Transport: e},
				KeepActive: time.Hour, KeepInactive: inactive, Recheck: time.Minute,
			})
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.StartWith(t, &hauberktest.Backend{}, authn.New(authn.Config{}, m))
			stream := open(t, env)
			revoked.Store(true)
			pass(time.Minute + time.Second)
			_ = stream.RecvMsg(&testpb.Response{}) // the stream has ended
			wantInvalid(t, env.Call(bearer(t.Context(), "t")).Err)
		})
	}
}

func wantInvalid(t *testing.T, err error) {
	t.Helper()
	if status.Code(err) != codes.Unauthenticated || hauberk.Reason(err) != authn.ReasonInvalidToken {
		t.Errorf("%v; want UNAUTHENTICATED, %s", err, authn.ReasonInvalidToken)
	}
}
