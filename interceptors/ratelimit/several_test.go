package ratelimit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// A call takes permits of all limits or of none, and the rejection names the limit that is
// exceeded, for all kinds of calls on both sides.
func TestSeveralLimits(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := hourly(10, ratelimit.Cost{})
		config.Also = []ratelimit.Config{
			{Limit: 2, Per: time.Minute, By: callkey.Metadata("user")},
			{Limit: 12, Per: time.Hour, Algorithm: ratelimit.FixedWindow, By: callkey.Method(), Cost: ratelimit.Cost{Call: 4}},
		}
		seen, clock := observe(), hauberktest.NewClock()
		env := c.Start(t, seen, ratelimit.New(config, ratelimit.WithClock(clock.Now)))
		ctx := metadata.AppendToOutgoingContext(t.Context(), "user", "alice")
		for range 2 {
			wantCode(t, env.Call(ctx).Err, codes.OK)
			<-seen.ended
		}
		for range 5 { // take nothing of the other limits
			wantRejection(t, env.Call(ctx).Err, "metadata:user", 30*time.Second)
			<-seen.ended
			if got := seen.decisions[0].Rule; got != "2 in 1m0s by metadata:user" {
				t.Errorf("rule %q", got)
			}
		}
		bob := metadata.AppendToOutgoingContext(t.Context(), "user", "bob")
		wantCode(t, env.Call(bob).Err, codes.OK)
		wantRejection(t, env.Call(bob).Err, "method", time.Hour)
		wantRejection(t, env.Call(ctx).Err, "method", time.Hour) // as well as by user, for 30 s
		clock.Advance(time.Hour)
		wantCode(t, env.Call(metadata.AppendToOutgoingContext(t.Context(), "user", "bob")).Err, codes.OK)
	})
}

// A call that one of several limits can never admit has no RetryInfo.
func TestNeverOfSeveral(t *testing.T) {
	for _, order := range []string{"first", "last"} {
		never := ratelimit.Config{Limit: 1, Per: time.Second, By: callkey.Method(), Cost: ratelimit.Cost{Of: costs(5)}}
		config := ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.Global(), Also: []ratelimit.Config{never}}
		if order == "first" {
			config, never = never, config
			never.Also = nil
			config.Also = []ratelimit.Config{never}
		}
		limiter := ratelimit.New(config)
		if got := retryAfter(server(t, limiter)(from(tcp("192.0.2.1")))); got >= 0 {
			t.Errorf("%s: retry after %v", order, got)
		}
	}
}

// TestSeveralAgainstModels compares an interceptor of several limits with a model for each.
func TestSeveralAgainstModels(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		var configs []ratelimit.Config
		for range rapid.IntRange(2, 4).Draw(r, "limits") {
			configs = append(configs, drawConfig(r))
		}
		config := configs[0]
		config.Also = configs[1:]
		now := time.Duration(rapid.Int64Range(0, 5000).Draw(r, "start")) * time.Millisecond
		clock := func() time.Time { return time.Unix(0, int64(now)) }
		serve := server(t, login{}, ratelimit.New(config, ratelimit.WithClock(clock)))
		models := make(map[string]model)
		for range rapid.IntRange(1, 60).Draw(r, "calls") {
			now += time.Duration(rapid.Int64Range(0, 1000).Draw(r, "step")*rapid.Int64Range(0, 1).Draw(r, "moves")) * time.Millisecond
			id, ctx := drawCaller(r)
			var own []model
			for i := range configs {
				name := fmt.Sprint(i, id)
				if models[name] == nil {
					models[name] = modelOf(configs[i])
				}
				own = append(own, models[name])
			}
			admits := !slices.ContainsFunc(own, func(m model) bool { return !m.admits(now) })
			if err := serve(ctx); (err == nil) != admits {
				r.Fatalf("at %v: got %v, the models admit: %t", now, err, admits)
			}
			if admits {
				for _, m := range own {
					m.charge(now)
				}
			}
		}
	})
}

// Concurrent calls neither exceed a limit nor lose permits to each other: as many are admitted as
// the smallest limit has, although each of the calls is rejected by one of two limits.
func TestSeveralConcurrently(t *testing.T) {
	const permits, callers, calls = 500, 8, 400
	config := hourly(permits, ratelimit.Cost{})
	config.Also = []ratelimit.Config{hourly(permits, ratelimit.Cost{}), hourly(permits+1, ratelimit.Cost{})}
	serve := server(t, ratelimit.New(config))
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if serve(t.Context()) == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != permits {
		t.Errorf("%d calls admitted, want %d", n, permits)
	}
}

// Each limit decides by itself whether it counts public and unknown methods.
func TestSeveralOnPublicMethods(t *testing.T) {
	config := ratelimit.Config{
		Limit: 3, Per: time.Hour, By: callkey.Peer(),
		Also: []ratelimit.Config{{Limit: 1, Per: time.Hour, By: callkey.State(userKey)}},
	}
	for public, want := range map[bool]int{true: 3, false: 1} {
		var c hauberk.Config
		if public {
			c.Public = []string{"*"}
		}
		chain, err := c.New(login{}, ratelimit.New(config))
		if err != nil {
			t.Fatal(err)
		}
		serve := hauberktest.Direct{}.Server(chain)
		if got := admitted(t, serve, from(tcp("192.0.2.1"), "user", "alice")); got != want {
			t.Errorf("public %t: %d calls, want %d", public, got, want)
		}
	}
}

func TestSeveralDeclared(t *testing.T) {
	peers := ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.Network(24, 48)}
	users := ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.State(userKey)}
	config := ratelimit.Config{Limit: 1, Per: time.Hour, Also: []ratelimit.Config{peers}}
	if d := ratelimit.New(config).Declare(); d.Phase != hauberk.PhaseCoarseLimit || d.Detail != "peer, network" {
		t.Errorf("%+v", d)
	}
	config.Also = append(config.Also, users)
	d := ratelimit.New(config).Declare()
	if d.Phase != hauberk.PhaseLimit || d.Detail != "peer, network, user" || len(d.Reads) != 1 {
		t.Errorf("%+v", d)
	}
}

// A call that only some of the limits count takes no permits between another's check and its
// taking: no call takes a part of its permits and is rejected. In the end all permits of the second
// limit were taken by calls that were admitted.
func TestSeveralWithPartsConcurrently(t *testing.T) {
	const permits = 2000
	clock := hauberktest.NewClock()
	config := ratelimit.Config{Limit: 100, Per: time.Second, Algorithm: ratelimit.FixedWindow, By: callkey.Global()}
	second := hourly(permits, ratelimit.Cost{
		Of: ratelimit.CostFunc(func(ctx context.Context, call *hauberk.Call) int { return len(call.Metadata(ctx, "both")) }),
	})
	second.Algorithm = ratelimit.FixedWindow
	config.Also = []ratelimit.Config{second}
	serve := server(t, ratelimit.New(config, ratelimit.WithClock(clock.Now)))
	one, both := from(nil), from(nil, "both", "1")
	var admitted atomic.Int64
	for range 10 {
		var wg sync.WaitGroup
		for _, ctx := range []context.Context{both, one, both, one} {
			wg.Go(func() {
				for range 100 {
					if serve(ctx) == nil && ctx == both {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		clock.Advance(time.Second)
	}
	for range 2 * permits {
		if serve(both) == nil {
			admitted.Add(1)
			continue
		}
		clock.Advance(time.Second)
	}
	if n := admitted.Load(); n != permits {
		t.Errorf("%d calls of the second limit admitted, want %d", n, permits)
	}
}
