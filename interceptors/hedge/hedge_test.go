package hedge_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// TestHedge: attempts start when they should, the application gets everything of the one that
// ends the call, at that time, and the others are cancelled.
func TestHedge(t *testing.T) {
	unavailable := func(after time.Duration) step { return step{after: after, code: codes.Unavailable} }
	three := hedge.Config{MaxAttempts: 3}
	for _, c := range []struct {
		name      string
		config    hedge.Config
		steps     []step
		starts    []time.Duration
		end       time.Duration
		winner    string
		code      codes.Code
		cancelled int
	}{
		{"quick", three, []step{{after: 50 * ms}}, []time.Duration{0}, 50 * ms, "1", codes.OK, 0},
		{"the second", three, []step{never, {}}, []time.Duration{0, delay}, delay, "2", codes.OK, 1},
		{"the first, later", three, []step{{after: 150 * ms}, never}, []time.Duration{0, delay}, 150 * ms, "1", codes.OK, 1},
		{"the third", three, []step{never, never, {after: ms}}, []time.Duration{0, delay, 2 * delay}, 201 * ms, "3", codes.OK, 2},
		{"no more than MaxAttempts", hedge.Config{}, []step{{after: 500 * ms}, never}, []time.Duration{0, delay}, 500 * ms, "1", codes.OK, 1},
		{"another delay", hedge.Config{Delay: 7 * ms}, []step{never, {}}, []time.Duration{0, 7 * ms}, 7 * ms, "2", codes.OK, 1},
		{"no delay", hedge.Config{MaxAttempts: 4, NoDelay: true}, []step{{after: ms}, never}, []time.Duration{0, 0, 0, 0}, ms, "1", codes.OK, 3},
		{"turned off", hedge.Config{MaxAttempts: 1}, []step{{after: 500 * ms}}, []time.Duration{0}, 500 * ms, "1", codes.OK, 0},
		{"non-fatal", three, []step{unavailable(10 * ms), {}}, []time.Duration{0, 10 * ms}, 10 * ms, "2", codes.OK, 0},
		{
			"the delay begins again after a failure", three,
			[]step{unavailable(10 * ms), never, {}},
			[]time.Duration{0, 10 * ms, 110 * ms},
			110 * ms, "3", codes.OK, 1,
		},
		{
			"non-fatal while another runs", three,
			[]step{{after: 130 * ms}, unavailable(10 * ms), never},
			[]time.Duration{0, delay, 110 * ms},
			130 * ms, "1", codes.OK, 1,
		},
		{"all fail", three, []step{unavailable(0)}, []time.Duration{0, 0, 0}, 0, "3", codes.Unavailable, 0},
		{
			"the last to end fails",
			hedge.Config{},
			[]step{unavailable(500 * ms), unavailable(0)},
			[]time.Duration{0, delay},
			500 * ms, "1", codes.Unavailable, 0,
		},
		{"fatal", three, []step{{after: 10 * ms, code: codes.NotFound}}, []time.Duration{0}, 10 * ms, "1", codes.NotFound, 0},
		{
			"fatal while another runs", three,
			[]step{never, {code: codes.NotFound}},
			[]time.Duration{0, delay},
			delay, "2", codes.NotFound, 1,
		},
		{
			"no code is non-fatal",
			hedge.Config{NonFatalStatusCodes: []codes.Code{}},
			[]step{unavailable(0)},
			[]time.Duration{0},
			0, "1", codes.Unavailable, 0,
		},
		{
			"another code is non-fatal",
			hedge.Config{NonFatalStatusCodes: []codes.Code{codes.NotFound}},
			[]step{{code: codes.NotFound}, {}},
			[]time.Duration{0, 0},
			0, "2", codes.OK, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				s := scripted(c.steps...)
				out := call(t, start(t, kind, s, all(c.config)), kind)
				if got := time.Since(s.began); got != c.end {
					t.Errorf("the call ended after %v, want %v", got, c.end)
				}
				wantCode(t, out.Err, c.code)
				s.wantStarts(t, c.starts...)
				s.wantCancelled(t, c.cancelled)
				if c.code == codes.OK {
					wantWinner(t, out, c.winner)
					return
				}
				wantMetadata(t, out, c.winner)
				if got := status.Convert(out.Err).Message(); got != "attempt "+c.winner {
					t.Errorf("the error is %q, want that of attempt %s", got, c.winner)
				}
			})
		})
	}
}

// TestPushback: a good pushback or RetryInfo of a non-fatal failure postpones the next attempt, a
// bad one prevents it (gRFC A6). Other attempts go on.
func TestPushback(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		info   time.Duration
		next   time.Duration // after the failure; 0 for none
	}{
		{"delay", []string{"300"}, 0, 300 * ms},
		{"RetryInfo", nil, 250 * ms, 250 * ms},
		{"the longer of both", []string{"20"}, 250 * ms, 250 * ms},
		{"negative", []string{"-1"}, 0, 0},
		{"negative, and RetryInfo", []string{"-1"}, time.Second, 0},
		{"malformed", []string{"soon"}, 0, 0},
		{"empty", []string{""}, 0, 0},
		{"a fraction", []string{"1.5"}, 0, 0},
		{"too large", []string{"99999999999999999999"}, 0, 0},
		{"beyond MaxServerDelay", []string{"1000000000"}, 0, 0},
		{"RetryInfo beyond MaxServerDelay", nil, time.Hour, 0},
		{"twice", []string{"1", "1"}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				failure := status.New(codes.Unavailable, "no")
				if c.info > 0 {
					failure, _ = failure.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(c.info)})
				}
				asks := step{after: 10 * ms, pushback: c.values, details: failure}
				// At first alone, then while another attempt runs.
				for _, steps := range [][]step{{asks, {}}, {{after: time.Second}, asks, {}}} {
					s := scripted(steps...)
					out := call(t, start(t, kind, s, all(hedge.Config{MaxAttempts: len(steps)})), kind)
					starts := []time.Duration{0}
					if len(steps) == 3 {
						starts = append(starts, delay)
					}
					if c.next > 0 {
						starts = append(starts, starts[len(starts)-1]+10*ms+c.next)
					}
					s.wantStarts(t, starts...)
					if len(steps) == 2 && c.next == 0 {
						wantCode(t, out.Err, codes.Unavailable)
					} else {
						wantCode(t, out.Err, codes.OK)
					}
				}
			})
		})
	}
}

// TestDeadline: the call ends at the deadline of the caller, no attempt starts at it or later, and
// no wait begins that would pass it.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name   string
		step   step
		starts []time.Duration
		end    time.Duration
		code   codes.Code
	}{
		{"slow", never, []time.Duration{0, delay, 2 * delay}, 3 * delay, codes.DeadlineExceeded},
		{
			"pushback",
			step{after: 50 * ms, code: codes.Unavailable, pushback: []string{"250"}},
			[]time.Duration{0},
			50 * ms, codes.Unavailable,
		},
		{
			"a shorter pushback",
			step{after: 50 * ms, code: codes.Unavailable, pushback: []string{"220"}},
			[]time.Duration{0, 270 * ms},
			3 * delay, codes.DeadlineExceeded,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				s := scripted(c.step)
				env := start(t, kind, s, all(hedge.Config{MaxAttempts: 5}))
				ctx, cancel := context.WithTimeout(t.Context(), 3*delay)
				defer cancel()
				out := env.Call(ctx)
				if got := time.Since(s.began); got != c.end {
					t.Errorf("the call ended after %v, want %v", got, c.end)
				}
				wantCode(t, out.Err, c.code)
				s.wantStarts(t, c.starts...)
			})
		})
	}
}

// TestCancel: a caller that cancels ends all attempts, and the wait for the next.
func TestCancel(t *testing.T) {
	for name, c := range map[string]struct {
		step      step
		cancelled int
	}{
		"attempts": {never, 2},
		"wait":     {step{code: codes.Unavailable, pushback: []string{"1000"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				s := scripted(c.step)
				env := start(t, kind, s, all(hedge.Config{MaxAttempts: 3}))
				ctx, cancel := context.WithCancel(t.Context())
				defer time.AfterFunc(150*ms, cancel).Stop()
				wantCode(t, env.Call(ctx).Err, codes.Canceled)
				if got := time.Since(s.began); got != 150*ms {
					t.Errorf("the call ended after %v, want 150 ms", got)
				}
				s.wantCancelled(t, c.cancelled)
			})
		})
	}
}

// TestOptions: the call options of the application get what the attempt got that ended the call.
func TestOptions(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(never, step{})
		env := start(t, kind, s, all(hedge.Config{}))
		var header, trailer metadata.MD
		var from peer.Peer
		finished := make(chan error, 2)
		out := call(t, env, kind, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from),
			grpc.OnFinish(func(err error) { finished <- err }))
		wantWinner(t, out, "2")
		synctest.Wait()
		wantMetadata(t, hauberktest.Outcome{Header: header, Trailer: trailer}, "2")
		if from.Addr == nil {
			t.Error("no peer")
		}
		if err := <-finished; err != nil || len(finished) > 0 {
			t.Errorf("OnFinish got %v, and %d more", err, len(finished))
		}
	})
}

// TestDisable: the call option turns hedging off for a call.
func TestDisable(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(step{after: time.Second})
		wantWinner(t, call(t, start(t, kind, s, all(hedge.Config{})), kind, hedge.Disable()), "1")
		s.wantStarts(t, 0)
	})
}

// TestRequestStreamsPass: calls that stream requests are not hedged, and those of methods that are
// not idempotent neither.
func TestRequestStreamsPass(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		for _, every := range []bool{false, true} {
			t.Run(kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) {
					s := scripted(step{after: time.Second})
					env := start(t, kind, s, hedge.New(hedge.Config{AllMethods: every}))
					want := []time.Duration{0, delay}
					if kind.ClientStreams() || !every {
						want = want[:1]
					}
					wantWinner(t, call(t, env, kind), "1")
					s.wantStarts(t, want...)
				})
			})
		}
	}
}

// TestPreviousAttempts: attempts after the first send how many started before, in place of what the
// application has set. Inner interceptors see the number of their attempt, and outer ones
// afterwards that of the attempt that ended the call.
func TestPreviousAttempts(t *testing.T) {
	for outer, want := range map[string][]string{"": {"", "1", "2"}, "4": {"4", "1", "2"}, "x": {"x", "1", "2"}} {
		simulated(t, func(t *testing.T, kind hauberk.Kind) {
			s := scripted(never, never, step{})
			var inner numbers
			looking := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				n, _ := hedge.Attempt.Get(c)
				if by := hedge.Attempt.Or(ctx, 0); by != n {
					t.Errorf("attempt %d by the call, %d by its context", n, by)
				}
				inner.add(n)
				return next(ctx, c)
			})
			outside := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, c)
				if n := hedge.Attempt.Or(ctx, 0); n != 3 {
					t.Errorf("the call has the number %d, want 3", n)
				}
				return err
			})
			env := start(t, kind, s, outside, all(hedge.Config{MaxAttempts: 3}), looking)
			ctx := t.Context()
			if outer != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "grpc-previous-rpc-attempts", outer)
			}
			out := env.Do(ctx, hauberktest.FullMethod(kind), []*testpb.Request{{}})
			wantWinner(t, out, "3")
			if got := inner.sorted(); !slices.Equal(s.asked, want) || !slices.Equal(got, []int{1, 2, 3}) {
				t.Errorf("with %q outside: metadata %q, want %q; numbers %v", outer, s.asked, want, got)
			}
		})
	}
}
