package authn_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// issuer makes tokens that are valid for an hour. A fetch takes a second.
type issuer struct {
	mu    sync.Mutex
	made  int
	fails error
}

func (i *issuer) fetch(ctx context.Context) (authn.Token, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return authn.Token{}, ctx.Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	return authn.Token{Value: fmt.Sprint("token", i.made), Expires: time.Now().Add(time.Hour)}, i.fails
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.made
}

func (i *issuer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails = err
}

// expectToken takes a token from a number of goroutines at once.
func expectToken(t *testing.T, when string, r *authn.Refresher, want string, wait time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	start := time.Now()
	for range 5 {
		all.Go(func() {
			if token, err := r.Token(t.Context()); token != want || err != nil || time.Since(start) != wait {
				t.Errorf("%s: %q, %v after %v; want %q after %v", when, token, err, time.Since(start), want, wait)
			}
		})
	}
	all.Wait()
}

// TestRefresher: calls wait only for the first token, and share its fetch; the next one is fetched
// before the first has expired.
func TestRefresher(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		r := authn.NewRefresher(i.fetch, authn.RefreshConfig{Ahead: 5 * time.Minute})
		expectToken(t, "first", r, "token1", time.Second)
		pass(54 * time.Minute)
		expectToken(t, "long before its end", r, "token1", 0)
		pass(time.Minute)
		expectToken(t, "shortly before its end", r, "token1", 0)
		pass(2 * time.Second)
		expectToken(t, "refreshed", r, "token2", 0)
		pass(2 * time.Hour)
		expectToken(t, "expired while idle", r, "token3", time.Second)
	})
}

// TestRefresherFails: a failed refresh leaves a valid token in use. Without one calls fail with
// the error of the fetch, which is not repeated for each call.
func TestRefresherFails(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		i, down := new(issuer), status.Error(codes.Unavailable, "the issuer is down")
		r := authn.NewRefresher(i.fetch, authn.RefreshConfig{Ahead: 5 * time.Minute, MinInterval: time.Minute})
		i.fail(down)
		for range 10 { // one fetch for all
			if _, err := r.Token(t.Context()); !errors.Is(err, down) {
				t.Errorf("%v; want %v", err, down)
			}
		}
		i.fail(nil)
		if _, err := r.Token(t.Context()); !errors.Is(err, down) || i.made != 1 {
			t.Errorf("%v after %d fetches; want %v within MinInterval", err, i.made, down)
		}
		pass(time.Minute)
		expectToken(t, "when the issuer is back", r, "token2", time.Second)
		i.fail(down)
		pass(57 * time.Minute)
		expectToken(t, "while the refresh fails", r, "token2", 0)
		pass(10 * time.Second)
		expectToken(t, "after it", r, "token2", 0)
		if i.made != 3 {
			t.Errorf("%d fetches; want 3", i.made)
		}
	})
}

// TestInvalidate: an invalidated token is replaced once for all calls; another one is kept.
func TestInvalidate(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		r := authn.NewRefresher(i.fetch, authn.RefreshConfig{})
		expectToken(t, "first", r, "token1", time.Second)
		r.Invalidate("token1")
		expectToken(t, "too young to be invalidated", r, "token1", 0)
		pass(time.Second)
		r.Invalidate("token1")
		r.Invalidate("token1")
		expectToken(t, "invalidated", r, "token2", time.Second)
		r.Invalidate("token1") // by a call that took long
		expectToken(t, "not invalidated", r, "token2", 0)
	})
}

// TestRenew: a token that a server may have rejected serves until its successor has arrived, or until it
// expires. Renew waits for the successor, of which there is one for all.
func TestRenew(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		i, down := new(issuer), status.Error(codes.Unavailable, "the issuer is down")
		r := authn.NewRefresher(i.fetch, authn.RefreshConfig{})
		renew := func(ctx context.Context, token, want string, wantErr error, wait time.Duration) {
			t.Helper()
			start := time.Now()
			if got, err := r.Renew(ctx, token); got != want || !errors.Is(err, wantErr) || time.Since(start) != wait {
				t.Errorf("Renew of %s: %q, %v after %v; want %q, %v after %v", token, got, err, time.Since(start), want, wantErr, wait)
			}
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		renew(t.Context(), "unknown", "token1", nil, time.Second)
		renew(t.Context(), "token1", "token1", nil, 0) // too young
		pass(time.Minute)
		i.fail(down)
		renew(done, "token1", "", context.Canceled, 0)
		expectToken(t, "while its successor is fetched", r, "token1", 0)
		renew(t.Context(), "token1", "", down, time.Second)
		renew(t.Context(), "token1", "", down, 0) // within MinInterval
		expectToken(t, "without a successor", r, "token1", 0)
		i.fail(nil)
		pass(time.Second)
		expectToken(t, "which the next call begins to fetch", r, "token1", 0)
		for range 5 {
			go renew(t.Context(), "token1", "token3", nil, time.Second)
		}
		pass(2 * time.Second)
		expectToken(t, "replaced", r, "token3", 0)
		renew(t.Context(), "token1", "token3", nil, 0) // by a call that took long
		pass(59 * time.Minute)
		i.fail(down)
		renew(t.Context(), "token3", "", down, time.Second)
		pass(time.Minute)
		if _, err := r.Token(t.Context()); !errors.Is(err, down) || i.fetches() != 5 {
			t.Errorf("%v after %d fetches; want %v when the token has expired", err, i.fetches(), down)
		}
	})
}

// TestRefresherWaits: a call that ends while it waits does not end the fetch, a fetch is limited in
// time, and one that breaks is an error.
func TestRefresherWaits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		i := new(issuer)
		r := authn.NewRefresher(i.fetch, authn.RefreshConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := r.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want %v", err, context.DeadlineExceeded)
		}
		pass(time.Second)
		expectToken(t, "later", r, "token1", 0)
	})
	for name, test := range map[string]struct {
		fetch func(context.Context) (authn.Token, error)
		want  string
	}{
		"slow": {func(ctx context.Context) (authn.Token, error) {
			<-ctx.Done()
			return authn.Token{}, ctx.Err()
		}, "no token within 10s"},
		"panic":   {func(context.Context) (authn.Token, error) { panic("fetch") }, "the fetch of a token panicked: fetch"},
		"Goexit":  {func(context.Context) (authn.Token, error) { runtime.Goexit(); return authn.Token{}, nil }, "ended its goroutine"},
		"nothing": {func(context.Context) (authn.Token, error) { return authn.Token{}, nil }, "returned an empty one"},
		"expired": {func(context.Context) (authn.Token, error) {
			return authn.Token{Value: "x", Expires: time.Now()}, nil
		}, "returned an expired one"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := authn.NewRefresher(test.fetch, authn.RefreshConfig{})
				if _, err := r.Token(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v; want %q", err, test.want)
				}
			})
		})
	}
}

// TestRefresherContext: nothing that a call carries reaches a fetch, whose token all calls share.
func TestRefresherContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		r := authn.NewRefresher(func(ctx context.Context) (authn.Token, error) {
			fetches++
			_, outgoing := metadata.FromOutgoingContext(ctx)
			_, incoming := metadata.FromIncomingContext(ctx)
			if outgoing || incoming || ctx.Value(key{}) != nil {
				t.Errorf("fetch %d has a value of a call: %v", fetches, ctx)
			}
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Minute {
				t.Errorf("fetch %d ends at %v; want RefreshConfig.Timeout", fetches, deadline)
			}
			return authn.Token{Value: "t", Expires: time.Now().Add(time.Hour)}, nil
		}, authn.RefreshConfig{Timeout: time.Minute})
		ctx := metadata.NewIncomingContext(context.WithValue(t.Context(), key{}, 1), metadata.Pairs("x-tenant", "a"))
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "x-tenant", "a"), 2*time.Hour)
		defer cancel()
		for range 2 { // the first token, and ahead of its expiry the next
			if _, err := r.Token(ctx); err != nil {
				t.Error(err)
			}
			pass(59*time.Minute + time.Second)
		}
		synctest.Wait()
		if fetches != 2 {
			t.Errorf("%d fetches; want 2", fetches)
		}
	})
}

func TestRefresherErrors(t *testing.T) {
	for want, r := range map[string]*authn.Refresher{
		"no function that fetches":   authn.NewRefresher(nil, authn.RefreshConfig{}),
		"Ahead -1ns":                 authn.NewRefresher(new(issuer).fetch, authn.RefreshConfig{Ahead: -1}),
		"make it with authn.NewRefr": {},
	} {
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := authn.NewRefresher(new(issuer).fetch, authn.RefreshConfig{}).Err(); err != nil {
		t.Error(err)
	}
}
