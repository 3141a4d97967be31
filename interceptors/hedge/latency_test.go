package hedge_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// near reports whether a delay is within the error of the histogram.
func near(got, want time.Duration) bool { return (got - want).Abs() <= want/50 }

// TestDelayQuantile: the delay is Delay until there are enough calls, and then the quantile of the
// recent latency, within its bounds.
func TestDelayQuantile(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		h := all(hedge.Config{
			DelayQuantile: 0.9, MinDelay: 5 * ms, MaxDelay: 200 * ms, MinSamples: 10, Delay: 40 * ms, NoBudget: true,
		})
		s := scripted()
		env := start(t, kind, s, h)
		calls := func(n int, latency time.Duration) {
			t.Helper()
			for range n {
				s.again(step{after: latency})
				wantCode(t, call(t, env, kind).Err, codes.OK)
			}
			<-time.After(time.Second) // the delay is computed 64 times in a minute
		}
		want := func(d time.Duration) {
			t.Helper()
			s.again(never, step{})
			wantWinner(t, call(t, env, kind), "2")
			if got := s.starts[1]; !near(got, d) {
				t.Errorf("the hedge started after %v, want %v", got, d)
			}
			<-time.After(time.Second)
		}
		calls(9, 20*ms)
		if len(h.Delays()) != 0 {
			t.Errorf("delays %v", h.Delays())
		}
		want(40 * ms) // counts as slow: 1 of 10
		want(20 * ms)
		calls(1000, ms)
		want(5 * ms)
		calls(400, 3*time.Second) // hedged, and cancelled at once
		want(200 * ms)
		if d := h.Delays(); len(d) != 1 || d[hauberktest.FullMethod(kind)] != 200*ms {
			t.Errorf("delays %v", d)
		}
		<-time.After(2 * hedge.DefaultWindow)
		want(40 * ms)
	})
}

// TestWhatIsMeasured: quick failures and cancelled attempts do not make the quantile shorter, and
// what comes after the first message of a stream does not make it longer.
func TestWhatIsMeasured(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		h := all(hedge.Config{DelayQuantile: 0.5, MinSamples: 10, NoBudget: true, Delay: 500 * ms})
		s := scripted()
		env := start(t, kind, s, h)
		for range 20 {
			s.again(step{after: 50 * ms})
			call(t, env, kind)
			s.again(step{after: ms, code: codes.Unavailable}, step{after: ms, code: codes.NotFound})
			call(t, env, kind)
			s.again(step{after: ms, code: codes.NotFound})
			call(t, env, kind)
		}
		<-time.After(time.Second)
		if got := h.Delays()[hauberktest.FullMethod(kind)]; !near(got, 50*ms) {
			t.Errorf("the delay is %v, want 50 ms", got)
		}
		if kind == hauberk.Unary {
			return
		}
		for range 30 {
			s.again(step{after: 60 * ms})
			stream := open(t.Context(), t, env)
			request(t, stream)
			resp := response("")
			if err := stream.RecvMsg(resp); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
			if err := stream.RecvMsg(resp); err == nil {
				t.Fatal("a second message")
			}
		}
		<-time.After(time.Second)
		if got := h.Delays()[hauberktest.FullMethod(kind)]; !near(got, 60*ms) && !near(got, 50*ms) {
			t.Errorf("the delay is %v, want about 50 ms", got)
		}
	})
}

// TestManyMethods: the latency of a bounded number of methods is kept.
func TestManyMethods(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		h := all(hedge.Config{DelayQuantile: 0.5, MinSamples: 1})
		conn := hauberk.Must(hauberk.New(h)).ClientConn(hauberktest.Conn{})
		for i := range 2000 {
			if err := conn.Invoke(t.Context(), fmt.Sprintf("/a.B/M%d", i), nil, response("")); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.Delays()); n > 256 {
			t.Errorf("the latency of %d methods is kept", n)
		}
	})
}
