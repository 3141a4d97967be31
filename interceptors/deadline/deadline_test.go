package deadline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestTimeLeft: the handler has the time that caller and settings leave it, on both sides and in all kinds.
func TestTimeLeft(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		config       deadline.Config
		caller, want time.Duration
	}{
		"default":                              {deadline.Config{Default: 5 * s}, 0, 5 * s},
		"default and a caller with less":       {deadline.Config{Default: 5 * s}, s, s},
		"default and a caller with more":       {deadline.Config{Default: 5 * s}, 9 * s, 9 * s},
		"cap":                                  {deadline.Config{Max: 5 * s}, 0, 5 * s},
		"cap and a caller with less":           {deadline.Config{Max: 5 * s}, s, s},
		"cap and a caller with more":           {deadline.Config{Max: 5 * s}, 9 * s, 5 * s},
		"both":                                 {deadline.Config{Default: 2 * s, Max: 5 * s}, 0, 2 * s},
		"both and a caller between":            {deadline.Config{Default: 2 * s, Max: 5 * s}, 4 * s, 4 * s},
		"both and a caller with more":          {deadline.Config{Default: 2 * s, Max: 5 * s}, 9 * s, 5 * s},
		"margin":                               {deadline.Config{Margin: s}, 9 * s, 8 * s},
		"margin of a default":                  {deadline.Config{Default: 5 * s, Margin: s}, 0, 4 * s},
		"margin of a cap":                      {deadline.Config{Max: 5 * s, Margin: s}, 9 * s, 4 * s},
		"margin of a caller below the cap":     {deadline.Config{Max: 5 * s, Margin: s}, 3 * s, 2 * s},
		"margin above half of the time":        {deadline.Config{Margin: 3 * s}, 4 * s, 2 * s},
		"margin without a deadline":            {deadline.Config{Margin: s}, 0, 0},
		"a rule for another method":            {rules(deadline.Rule{Methods: []string{"grpc.health.v1.Health/*"}, Max: s}), 0, 0},
		"a rule":                               {rules(deadline.Rule{Methods: []string{"hauberk.test.v1.*"}, Max: s}), 0, s},
		"a default that a rule caps":           {deadline.Config{Default: 5 * s, Rules: []deadline.Rule{{Methods: []string{"*"}, Max: s}}}, 0, s},
		"message timeouts leave the deadline":  {deadline.Config{IdleTimeout: s}, 9 * s, 9 * s},
		"message timeouts without a deadline":  {deadline.Config{IdleTimeout: s}, 0, 0},
		"message timeouts and a cap":           {deadline.Config{IdleTimeout: s, Max: 5 * s}, 9 * s, 5 * s},
		"early rejection leaves the deadline":  {deadline.Config{MinTimeLeft: s}, 9 * s, 9 * s},
		"typical quantile leaves the deadline": {deadline.Config{TypicalQuantile: 0.5}, 9 * s, 9 * s},
	} {
		t.Run(name, func(t *testing.T) {
			matrix(t, func(t *testing.T, m hauberktest.Case) {
				var left time.Duration
				var has bool
				b := handler(func(ctx context.Context, s hauberktest.Stream) error {
					var at time.Time
					at, has = ctx.Deadline()
					left = time.Until(at)
					return hauberktest.Echo(ctx, s)
				})
				env := m.StartWith(t, b, deadline.New(c.config))
				if out := env.Call(within(t, c.caller)); out.Err != nil {
					t.Fatal(out.Err)
				}
				if has != (c.want > 0) || has && left.Round(10*time.Millisecond) != c.want {
					t.Errorf("the handler has %v, %t; want %v", left, has, c.want)
				}
			})
		})
	}
}

// busy are ways to be busy at the deadline. Each returns when it can go on no longer.
var busy = map[string]func(ctx context.Context, s hauberktest.Stream) error{
	"waits for its context": func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"answers with another status": func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		pass(time.Nanosecond)
		return status.Error(codes.Unavailable, "gone")
	},
	"ignores its context": func(ctx context.Context, s hauberktest.Stream) error {
		pass(time.Hour)
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
			pass(time.Millisecond / 3)
		}
	},
}

// canBe reports whether the handler of a kind can be busy for ever in a way, if its client neither
// closes its side nor receives.
func canBe(way string, kind hauberk.Kind) bool {
	switch way {
	case "receives":
		return kind.ClientStreams()
	case "sends":
		return kind.ServerStreams()
	default:
		return true
	}
}

// TestCapOfAServer: at a deadline that the server has set, the caller gets DEADLINE_EXCEEDED and the handler is
// released, in each way to be busy, as at a deadline of the caller. Interceptors see what the caller gets.
func TestCapOfAServer(t *testing.T) {
	for way, handle := range busy {
		t.Run(way, func(t *testing.T) {
			onServers(t, func(t *testing.T, c hauberktest.Case) {
				if !canBe(way, c.Kind) {
					return
				}
				returned := make(chan error, 1)
				b := handler(func(ctx context.Context, s hauberktest.Stream) error {
					err := handle(ctx, s)
					returned <- ctx.Err()
					return err
				})
				w := new(witness)
				env := c.StartWith(t, b, w, deadline.New(deadline.Config{Max: time.Second}))
				begin := time.Now()
				err := open(t, env, c.Kind)
				wantCode(t, err, codes.DeadlineExceeded)
				wantBetween(t, begin, time.Second, time.Second)
				if err := <-returned; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the context of the handler ended with %v", err)
				}
				synctest.Wait()
				if len(w.outcomes) != 1 || hauberk.CodeOf(w.outcomes[0]) != codes.DeadlineExceeded {
					t.Errorf("the outer interceptor sees %v", w.outcomes)
				}
			})
		})
	}
}

// TestLateAnswer: a handler answers in the margin, after its context has ended.
func TestLateAnswer(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		"of the caller's deadline": {Margin: 100 * time.Millisecond},
		"of a cap":                 {Margin: 100 * time.Millisecond, Max: 500 * time.Millisecond},
		"with EndEarly":            {Margin: 100 * time.Millisecond, EndEarly: true},
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, c hauberktest.Case) {
				b := handler(func(ctx context.Context, s hauberktest.Stream) error {
					<-ctx.Done()
					pass(50 * time.Millisecond)
					return hauberktest.Echo(ctx, s)
				})
				env := c.StartWith(t, b, deadline.New(config))
				if out := env.Call(within(t, time.Second)); out.Err != nil || len(out.Responses) != 1 {
					t.Errorf("%v, %d responses; want the late answer", out.Err, len(out.Responses))
				}
			})
		})
	}
}

// TestEndEarly: the status of the server comes a tenth of the time, and at most 10 ms, before the caller's
// deadline, and no status without EndEarly.
func TestEndEarly(t *testing.T) {
	for name, handle := range busy {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, c hauberktest.Case) {
				if !canBe(name, c.Kind) {
					return
				}
				for timeout, early := range map[time.Duration]time.Duration{
					time.Second: 10 * time.Millisecond, 50 * time.Millisecond: 5 * time.Millisecond,
				} {
					env := c.StartWith(t, handler(handle), deadline.New(deadline.Config{EndEarly: true}))
					begin := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), timeout)
					wantCode(t, openIn(ctx, t, env, c.Kind), codes.DeadlineExceeded)
					wantBetween(t, begin, timeout-early-time.Millisecond, timeout-early+time.Millisecond)
					cancel()
				}
			})
		})
	}
}

// TestBudget: a call that a handler makes with its context ends in time for an answer.
func TestBudget(t *testing.T) {
	matrix(t, func(t *testing.T, inner hauberktest.Case) {
		behind := inner.StartWith(t, handler(busy["waits for its context"]))
		b := handler(func(ctx context.Context, s hauberktest.Stream) error {
			if out := behind.Call(ctx); hauberk.CodeOf(out.Err) != codes.DeadlineExceeded {
				t.Errorf("the outgoing call ended with %v", out.Err)
			}
			return hauberktest.Echo(ctx, s)
		})
		outer := hauberktest.Case{Side: hauberk.ServerSide, Kind: inner.Kind}
		env := outer.StartWith(t, b, deadline.New(deadline.Config{Margin: 200 * time.Millisecond}))
		begin := time.Now()
		if out := env.Call(within(t, time.Second)); out.Err != nil {
			t.Error(out.Err)
		}
		wantBetween(t, begin, 790*time.Millisecond, 810*time.Millisecond)
	})
}

// TestOutsideOfRetries: a default on a client bounds all attempts and waits of a call together, and the time that
// servers receive shrinks.
func TestOutsideOfRetries(t *testing.T) {
	matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ServerSide {
			return
		}
		var lefts []time.Duration
		b := handler(func(ctx context.Context, _ hauberktest.Stream) error {
			at, _ := ctx.Deadline()
			lefts = append(lefts, time.Until(at))
			pass(300 * time.Millisecond)
			return status.Error(codes.Unavailable, "down")
		})
		r := retry.New(retry.Config{
			AllMethods: true, MaxAttempts: 9, MaxReplayBytes: 1 << 10, InitialBackoff: 100 * time.Millisecond,
			BackoffMultiplier: 1, NoJitter: true,
		})
		env := c.StartWith(t, b, deadline.New(deadline.Config{Default: time.Second}), r)
		begin := time.Now()
		out := env.Call(t.Context())
		if code := hauberk.CodeOf(out.Err); code != codes.DeadlineExceeded && code != codes.Unavailable {
			t.Errorf("the call ended with %v", out.Err)
		}
		wantBetween(t, begin, 900*time.Millisecond, 1010*time.Millisecond)
		pass(time.Second)
		synctest.Wait()
		if len(lefts) != 3 {
			t.Errorf("the attempts had %v; want three of them", lefts)
		}
		for i, left := range lefts {
			if want := time.Second - time.Duration(i)*400*time.Millisecond; left.Round(10*time.Millisecond) != want {
				t.Errorf("attempt %d had %v; want %v", i+1, left, want)
			}
		}
	})
}
