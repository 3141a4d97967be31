package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
)

// staleConfig has answers that are fresh for a minute and stale for another one.
func staleConfig() cache.Config {
	return cache.Config{
		TTL: time.Minute, StaleWhileRevalidate: time.Minute, Methods: all, AcrossIdentities: true,
		RefreshTimeout: 5 * time.Second, MaxRefreshes: 2,
	}
}

func after(d time.Duration) { <-time.After(d) }

// A stale answer is used at once, while one call refreshes it; the call of the application may end before.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := cache.New(staleConfig())
		defer x.Close()
		s := newServer(t, hauberk.Config{}, x)
		s.call(t.Context(), "a")
		after(time.Minute)
		s.handle = func(ctx context.Context, _ *testpb.Request) (*testpb.Response, error) {
			n := s.handled.Load()
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 5*time.Second {
				t.Errorf("deadline %v; want RefreshTimeout", deadline)
			}
			after(time.Second)
			return &testpb.Response{Text: fmt.Sprint("new ", n)}, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 10 {
			s.wants("a 1", s.call(ctx, "a"))
		}
		cancel()
		after(2 * time.Second)
		synctest.Wait()
		s.wants("new 2", s.call(t.Context(), "a"))
		if got := s.handled.Load(); got != 2 {
			t.Errorf("%d calls were handled; want one refresh", got)
		}
		s.handle = nil
		after(3 * time.Minute)
		s.wants("a 3", s.call(t.Context(), "a")) // too stale
	})
}

// Which failures of a refresh leave the stale answer.
func TestFailedRefresh(t *testing.T) {
	for name, c := range map[string]struct {
		fail func() error
		left bool
	}{
		"unavailable":       {func() error { return status.Error(codes.Unavailable, "") }, true},
		"permission denied": {func() error { return status.Error(codes.PermissionDenied, "") }, false},
		"not found":         {func() error { return status.Error(codes.NotFound, "") }, false},
		"panic":             {func() error { panic("secret of a panic") }, false},
		"goexit":            {func() error { runtime.Goexit(); return nil }, false},
		"too long":          {func() error { after(6 * time.Second); return context.DeadlineExceeded }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				x := cache.New(staleConfig(), cache.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				defer x.Close()
				s := newServer(t, hauberk.Config{}, x)
				s.call(t.Context(), "a")
				after(time.Minute)
				s.handle = func(context.Context, *testpb.Request) (*testpb.Response, error) { return nil, c.fail() }
				s.wants("a 1", s.call(t.Context(), "a"))
				after(10 * time.Second)
				synctest.Wait()
				s.handle = nil
				want := "a 3"
				if c.left {
					want = "a 1"
				}
				s.wants(want, s.call(t.Context(), "a"))
				synctest.Wait()
				if logged := strings.Contains(log.String(), "refresh panicked"); logged != (name == "panic" || name == "goexit") {
					t.Errorf("log %q", log.String())
				}
			})
		})
	}
}

// At most MaxRefreshes run at a time, and Close ends them.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := cache.New(staleConfig())
		s := newServer(t, hauberk.Config{}, x)
		texts := []string{"a", "b", "c"}
		for _, text := range texts {
			s.call(t.Context(), text)
		}
		after(time.Minute)
		ended := make(chan error, 3)
		s.handle = func(ctx context.Context, _ *testpb.Request) (*testpb.Response, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}
		for _, text := range texts {
			if got := s.call(t.Context(), text); got.err != nil {
				t.Error(got.err)
			}
		}
		synctest.Wait()
		if got := s.handled.Load(); got != 5 {
			t.Errorf("%d calls were handled; want 3 and 2 refreshes", got)
		}
		x.Close()
		x.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("a refresh ended with %v", err)
			}
		}
		s.handle = nil
		s.wants("a 6", s.call(t.Context(), "a")) // no stale answers any more
	})
}

// On a client a refresh runs after its call has returned, over a real connection.
func TestRefreshOnClient(t *testing.T) {
	clock := hauberktest.NewClock()
	x := cache.New(staleConfig(), cache.WithClock(clock.Now))
	defer x.Close()
	fresh := make(chan struct{}, 10)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		fresh <- struct{}{}
		return hauberktest.Echo(ctx, s)
	}}
	for _, c := range hauberktest.Cases() {
		if c.Kind != hauberk.Unary || c.Side != hauberk.ClientSide {
			continue
		}
		env := c.StartWith(t, backend, x)
		for range 2 {
			if out := env.Call(t.Context()); out.Err != nil || out.Texts()[0] != "echo:hello" {
				t.Errorf("%+v", out)
			}
			clock.Advance(90 * time.Second)
			<-fresh
		}
		if out := env.Call(t.Context()); out.Err != nil {
			t.Error(out.Err)
		}
	}
}
