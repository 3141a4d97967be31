package breaker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// world is a client with a breaker, and a backend that answers with a code.
type world struct {
	*hauberktest.Env

	breaker *breaker.Interceptor
	clock   *hauberktest.Clock
	answer  atomic.Uint32
	takes   atomic.Int64 // how long the backend takes, on the clock
	calls   atomic.Int64
}

const service = "hauberk.test.v1.TestService"

func start(t *testing.T, kind hauberk.Kind, config breaker.Config, inner ...hauberk.Interceptor) *world {
	t.Helper()
	return startOptions(t, kind, config, nil, inner...)
}

// startOptions is start with options.
func startOptions(
	t *testing.T, kind hauberk.Kind, config breaker.Config, opts []breaker.Option, inner ...hauberk.Interceptor,
) *world {
	t.Helper()
	clock := hauberktest.NewClock()
	w := startWith(t, kind, breaker.New(config, append(opts, breaker.WithClock(clock.Now))...), inner...)
	w.clock = clock
	return w
}

// startWith is start with a breaker that has the real clock.
func startWith(t *testing.T, kind hauberk.Kind, b *breaker.Interceptor, inner ...hauberk.Interceptor) *world {
	t.Helper()
	return startChain(t, kind, b, append([]hauberk.Interceptor{b}, inner...)...)
}

// startChain is startWith with a chain that has the breaker b.
func startChain(t *testing.T, kind hauberk.Kind, b *breaker.Interceptor, chain ...hauberk.Interceptor) *world {
	t.Helper()
	w := &world{breaker: b}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		w.calls.Add(1)
		if took := time.Duration(w.takes.Load()); took > 0 {
			w.clock.Advance(took)
		}
		if code := codes.Code(w.answer.Load()); code != codes.OK {
			return status.Error(code, "answer")
		}
		return hauberktest.Echo(ctx, s)
	}}
	w.Env = hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, chain...)
	return w
}

// call makes a call that the backend answers with a code, and returns its error.
func (w *world) call(t *testing.T, answer codes.Code) error {
	t.Helper()
	w.answer.Store(uint32(answer))
	return w.Call(t.Context()).Err
}

// repeat makes n calls that end with a code.
func (w *world) repeat(t *testing.T, n int, answer codes.Code) {
	t.Helper()
	for range n {
		_ = w.call(t, answer)
	}
}

func (w *world) wantState(t *testing.T, want breaker.State) {
	t.Helper()
	if got := w.breaker.States()[service]; got != want {
		t.Errorf("the circuit is %v, want %v", got, want)
	}
}

func kinds(t *testing.T, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, kind)
		})
	}
}

var config = breaker.Config{FailureThreshold: 3, OpenFor: time.Minute, HalfOpenMaxCalls: 1}

// TestLife opens a circuit, half-opens it, opens it again by a failed probe and
// closes it by a good one.
func TestLife(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, config)
		for range 3 {
			if err := w.call(t, codes.Unavailable); errors.Is(err, breaker.ErrOpen) {
				t.Error("open too early")
			}
		}
		w.wantState(t, breaker.Open)
		calls := w.calls.Load()
		err := w.call(t, codes.OK)
		if !errors.Is(err, breaker.ErrOpen) || status.Code(err) != codes.Unavailable ||
			hauberk.Reason(err) != "BREAKER_OPEN" || status.Convert(err).Message() != "circuit breaker is open" {
			t.Errorf("rejected with %v", err)
		}
		if w.calls.Load() != calls {
			t.Error("a rejected call reached the backend")
		}
		w.clock.Advance(time.Minute)
		_ = w.call(t, codes.Internal)
		w.wantState(t, breaker.Open)
		w.clock.Advance(time.Minute)
		if err := w.call(t, codes.OK); err != nil {
			t.Error(err)
		}
		w.wantState(t, breaker.Closed)
	})
}

// TestWhatCounts: the codes that indicate a failing server are failures, others reset the
// count.
func TestWhatCounts(t *testing.T) {
	failures := map[codes.Code]bool{
		codes.Unknown: true, codes.DeadlineExceeded: true, codes.Internal: true, codes.Unavailable: true, codes.DataLoss: true,
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		t.Run(code.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			w := start(t, hauberk.Unary, config)
			_ = w.call(t, codes.Unavailable)
			_ = w.call(t, codes.Unavailable)
			_ = w.call(t, code)
			want := 0
			if failures[code] {
				want = 3
			} else if code == codes.Canceled {
				want = 2
			}
			if got := w.breaker.Failures()[service]; got != want {
				t.Errorf("%d failures, want %d", got, want)
			}
		})
	}
}

func TestConfiguredCodes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := config
	c.FailureCodes = []codes.Code{codes.ResourceExhausted}
	w := start(t, hauberk.Unary, c)
	for range 3 {
		_ = w.call(t, codes.Unavailable)
	}
	w.wantState(t, breaker.Closed)
	for range 3 {
		_ = w.call(t, codes.ResourceExhausted)
	}
	w.wantState(t, breaker.Open)
}

// TestRejectionsSayNothing: a rejection by an inner interceptor is not a failure of the
// server.
func TestRejectionsSayNothing(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.Unavailable, "LOCAL", "rejected here")
		})
		w := start(t, kind, config, reject)
		for range 5 {
			_ = w.call(t, codes.OK)
		}
		w.wantState(t, breaker.Closed)
	})
}

// TestCancelledProbe: a cancelled probe gives its permit back.
func TestCancelledProbe(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, config)
		for range 3 {
			_ = w.call(t, codes.Unavailable)
		}
		w.clock.Advance(time.Minute)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Call(cancelled).Err; status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		w.wantState(t, breaker.HalfOpen)
		if err := w.call(t, codes.OK); err != nil {
			t.Errorf("the next probe: %v", err)
		}
		w.wantState(t, breaker.Closed)
	})
}

// TestPanickingProbe: a panic is a failure and gives the permit back.
func TestPanickingProbe(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var panics atomic.Bool
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if panics.Load() {
				panic("probe")
			}
			return next(ctx, call)
		})
		w := start(t, kind, config, inner)
		for range 3 {
			_ = w.call(t, codes.Unavailable)
		}
		w.clock.Advance(time.Minute)
		panics.Store(true)
		func() {
			defer func() { _ = recover() }()
			_ = w.call(t, codes.OK)
			t.Error("the panic did not reach the application")
		}()
		w.wantState(t, breaker.Open)
		panics.Store(false)
		w.clock.Advance(time.Minute)
		if err := w.call(t, codes.OK); err != nil {
			t.Error(err)
		}
	})
}

// TestProbeThatNeverEnds: a probe that exceeds ProbeTimeout is replaced by another.
func TestProbeThatNeverEnds(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := start(t, hauberk.Bidi, config)
	for range 3 {
		_ = w.call(t, codes.Unavailable)
	}
	w.clock.Advance(time.Minute)
	w.answer.Store(uint32(codes.OK))
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	probe, err := w.Conn.NewStream(ctx, desc, hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	err = w.call(t, codes.OK)
	if !errors.Is(err, breaker.ErrHalfOpen) || status.Convert(err).Message() != "circuit breaker is half-open" {
		t.Errorf("concurrently with the probe: %v", err)
	}
	w.clock.Advance(time.Minute)
	if err := w.call(t, codes.OK); err != nil {
		t.Errorf("after the probe's time: %v", err)
	}
	w.wantState(t, breaker.Closed)
	_ = probe.CloseSend()
	for err == nil || errors.Is(err, breaker.ErrHalfOpen) {
		err = probe.RecvMsg(new(testpb.Response))
	}
}

// TestLateResults: a call that was admitted before the circuit changed does not count.
func TestLateResults(t *testing.T) {
	hauberktest.CheckLeaks(t)
	w := start(t, hauberk.ServerStream, config)
	desc := &grpc.StreamDesc{ServerStreams: true}
	w.answer.Store(uint32(codes.OK))
	late, err := w.Conn.NewStream(t.Context(), desc, hauberktest.FullMethod(hauberk.ServerStream))
	if err != nil {
		t.Fatal(err)
	}
	if err := late.SendMsg(&testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = w.call(t, codes.Unavailable)
	}
	w.wantState(t, breaker.Open)
	for err == nil {
		err = late.RecvMsg(new(testpb.Response))
	}
	w.wantState(t, breaker.Open)
}

// TestBy: calls share the circuit of their service, method or target.
func TestBy(t *testing.T) {
	for by, want := range map[breaker.By]string{
		breaker.ByService: service,
		breaker.ByMethod:  testpb.TestService_Unary_FullMethodName,
		breaker.ByTarget:  "passthrough:///bufconn",
	} {
		hauberktest.CheckLeaks(t)
		w := start(t, hauberk.Unary, breaker.Config{By: by})
		_ = w.call(t, codes.OK)
		if states := w.breaker.States(); len(states) != 1 || states[want] != breaker.Closed {
			t.Errorf("by %d: circuits %v, want %q", by, states, want)
		}
	}
}

// TestHalfOpenRace: many concurrent calls when the circuit becomes half-open make no more
// probes than permitted.
func TestHalfOpenRace(t *testing.T) {
	hauberktest.CheckLeaks(t)
	clock := hauberktest.NewClock()
	var running, most atomic.Int64
	release := make(chan struct{})
	conn := hauberk.Must(hauberk.New(breaker.New(breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 2}, breaker.WithClock(clock.Now)))).
		ClientConn(hauberktest.Conn{Outcome: func(string) error {
			running.Add(1)
			defer running.Add(-1)
			raise(&most, running.Load())
			<-release
			return status.Error(codes.Unavailable, "still down")
		}})
	invoke := func() {
		_ = conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, &testpb.Request{}, reply)
	}
	for range 50 {
		release = make(chan struct{})
		close(release)
		invoke() // opens
		clock.Advance(time.Hour)
		most.Store(0)
		release = make(chan struct{})
		var all sync.WaitGroup
		var admitted atomic.Int64
		for range 50 {
			all.Go(func() {
				invoke()
				admitted.Add(1)
			})
		}
		for admitted.Load() < 48 { // those rejected have returned
			clock.Advance(0)
		}
		close(release)
		all.Wait()
		if most.Load() > 2 {
			t.Fatalf("%d concurrent probes", most.Load())
		}
	}
}

// raise makes m at least n.
func raise(m *atomic.Int64, n int64) {
	old := m.Load()
	for n > old && !m.CompareAndSwap(old, n) {
		old = m.Load()
	}
}

func TestOnChange(t *testing.T) {
	hauberktest.CheckLeaks(t)
	clock := hauberktest.NewClock()
	var changes []string
	b := breaker.New(config, breaker.WithClock(clock.Now), breaker.WithOnChange(func(c breaker.Change) {
		changes = append(changes, c.Circuit+" "+c.From.String()+">"+c.To.String())
	}))
	fail := true
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{Outcome: func(string) error {
		if fail {
			return status.Error(codes.Unavailable, "down")
		}
		return nil
	}})
	invoke := func() { _ = conn.Invoke(context.Background(), "/s/m", &testpb.Request{}, reply) }
	for range 3 {
		invoke()
	}
	clock.Advance(time.Minute)
	fail = false
	invoke()
	want := "s closed>open, s open>half_open, s half_open>closed"
	if got := strings.Join(changes, ", "); got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
}

// TestShadowByTarget: the target is known in dry run too.
func TestShadowByTarget(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b := breaker.New(breaker.Config{By: breaker.ByTarget})
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}
	if err := c.Start(t, hauberk.Shadow(b)).Call(t.Context()).Err; err != nil {
		t.Error(err)
	}
	if _, ok := b.States()["passthrough:///bufconn"]; !ok {
		t.Errorf("circuits %v", b.States())
	}
}

// TestShadow: a breaker in dry run rejects nothing and counts.
func TestShadow(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b := breaker.New(config)
	shadow := hauberk.Shadow(b)
	calls := 0
	conn := hauberk.Must(hauberk.New(shadow)).ClientConn(hauberktest.Conn{Outcome: func(string) error {
		calls++
		return status.Error(codes.Unavailable, "down")
	}})
	for range 5 {
		_ = conn.Invoke(context.Background(), "/s/m", &testpb.Request{}, reply)
	}
	if calls != 5 || shadow.Rejections() != 2 {
		t.Errorf("%d calls, %d would have been rejected", calls, shadow.Rejections())
	}
}

// TestSides: the breaker cannot be attached to a server.
func TestSides(t *testing.T) {
	if got := breaker.New(config).Declare().Sides; got != hauberk.OnlyClients {
		t.Errorf("Sides is %v, want OnlyClients", got)
	}
}

// TestAllocations: an admitted call costs no allocation, also with windows.
func TestAllocations(t *testing.T) {
	measure := func(interceptors ...hauberk.Interceptor) float64 {
		conn := hauberk.Must(hauberk.New(interceptors...)).ClientConn(hauberktest.Conn{})
		return testing.AllocsPerRun(1000, func() {
			_ = conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, &testpb.Request{}, reply)
		})
	}
	bare := measure()
	for name, config := range windowed {
		if with := measure(breaker.New(config)); with > bare {
			t.Errorf("%s: %v allocations, %v without", name, with, bare)
		}
	}
}

// windowed are configurations of circuits without and with windows.
var windowed = map[string]breaker.Config{
	"consecutive":    {},
	"ratio by calls": {FailureRatio: 0.5, WindowCalls: 100},
	"ratio by time":  {FailureRatio: 0.5},
	"slow":           {FailureRatio: 0.5, SlowRatio: 0.5, SlowAfter: time.Second},
}

// reply is the response of the calls that hauberktest.Conn answers.
var reply = &testpb.Response{}
