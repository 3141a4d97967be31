package attacks_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// sick is a server that ends calls as it is set to, and counts those that it executes.
type sick struct {
	*target

	code          atomic.Uint32
	hold          atomic.Pointer[chan struct{}] // calls wait until it is closed; nil for none
	running, most atomic.Int64
	executed      atomic.Int64
}

func serveSick(t *testing.T) *sick {
	t.Helper()
	s := new(sick)
	s.target = serve(t, hauberk.Config{}, nil, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			s.executed.Add(1)
			n := s.running.Add(1)
			defer s.running.Add(-1)
			s.raise(n)
			if hold := s.hold.Load(); hold != nil {
				<-*hold
			}
			if code := codes.Code(s.code.Load()); code != codes.OK {
				return status.Error(code, "sick")
			}
			return next(ctx, call)
		}))
	return s
}

// raise makes most at least n.
func (s *sick) raise(n int64) {
	most := s.most.Load()
	for n > most && !s.most.CompareAndSwap(most, n) {
		most = s.most.Load()
	}
}

// dial returns a connection with a breaker.
func (s *sick) dial(t rapid.TB, b *breaker.Interceptor) *grpc.ClientConn {
	t.Helper()
	chain := hauberk.Must(hauberk.New(b))
	conn, err := grpc.NewClient(s.addr, chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// callKind makes a call of a kind, and returns its status.
func callKind(ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind) error {
	method := hauberktest.FullMethod(kind)
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, method, &testpb.Request{Text: "a"}, &testpb.Response{})
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&testpb.Request{Text: "a"})
	_ = stream.CloseSend()
	for err == nil {
		if err = stream.RecvMsg(&testpb.Response{}); err == nil && !kind.ServerStreams() {
			return nil
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// halfOpenRound releases goroutines at the moment when a circuit may be half-open, with probes that the
// server holds, and wants no more than permitted to be executed.
func (s *sick) halfOpenRound(t *testing.T, conn *grpc.ClientConn, round, permitted int) {
	t.Helper()
	const goroutines = 1000
	hold, release := make(chan struct{}), make(chan struct{})
	s.hold.Store(&hold)
	s.most.Store(0)
	before := s.executed.Load()
	var all, rejected sync.WaitGroup
	rejected.Add(goroutines - permitted)
	for i := range goroutines {
		all.Go(func() {
			<-release
			err := callKind(t.Context(), conn, kinds[i%len(kinds)])
			if hauberk.RejectionOf(err) != nil {
				rejected.Done()
			}
		})
	}
	close(release)
	rejected.Wait() // otherwise the test hangs: fewer are rejected, more are executed
	close(hold)
	all.Wait()
	if n, most := s.executed.Load()-before, s.most.Load(); n != int64(permitted) || most > int64(permitted) {
		t.Fatalf("round %d: %d probes were executed, %d concurrently; want %d", round, n, most, permitted)
	}
}

// TestB01HalfOpenProbes releases 1,000 calls of all kinds at once when a circuit may be half-open, over
// and over: the server executes as many probes as are permitted. Engines do 10,000 rounds in
// TestHalfOpenRounds.
func TestB01HalfOpenProbes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b01(t, func(round int) bool { return round < 10 })
}

// TestSoakB01HalfOpenProbes does it for the duration in HAUBERK_SOAK.
func TestSoakB01HalfOpenProbes(t *testing.T) {
	end := time.Now().Add(soakTime(t))
	hauberktest.CheckLeaks(t)
	b01(t, func(int) bool { return time.Now().Before(end) })
}

func b01(t *testing.T, more func(round int) bool) {
	t.Helper()
	const permitted = 3
	s, clock := serveSick(t), hauberktest.NewClock()
	b := breaker.New(breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: permitted, OpenFor: time.Minute, ProbeTimeout: time.Hour},
		breaker.WithClock(clock.Now))
	conn := s.dial(t, b)
	defer func() { _ = conn.Close() }()
	s.code.Store(uint32(codes.Unavailable))
	_ = callKind(t.Context(), conn, hauberk.Unary) // opens
	for round := 0; more(round); round++ {
		clock.Advance(time.Minute)
		s.halfOpenRound(t, conn, round, permitted)
	}
}

// circuitModel is a circuit for sequential calls.
type circuitModel struct {
	threshold, window, minCalls, successes int
	ratio                                  float64

	state    breaker.State
	mode     breaker.Mode
	failures int
	good     int    // probes that have succeeded
	recent   []bool // failures in the window
	until    time.Duration
}

// admits reports whether a call is admitted.
func (m *circuitModel) admits(now time.Duration) bool {
	switch {
	case m.mode != breaker.Automatic:
		return m.mode == breaker.ForcedClosed
	case m.state == breaker.Open && now < m.until:
		return false
	case m.state == breaker.Open:
		m.state, m.good = breaker.HalfOpen, 0
	}
	return true
}

// ended counts a call that was admitted. neutral ones count for nothing.
func (m *circuitModel) ended(now time.Duration, failed, neutral bool) {
	if neutral || m.mode != breaker.Automatic {
		return
	}
	m.recent = append(m.recent, failed)
	m.recent = m.recent[max(len(m.recent)-m.window, 0):]
	bad := 0
	for _, f := range m.recent {
		if f {
			bad++
		}
	}
	switch {
	case failed:
		m.failures++
		if m.state == breaker.HalfOpen || m.failures == m.threshold ||
			len(m.recent) >= m.minCalls && float64(bad)/float64(len(m.recent)) >= m.ratio {
			m.state, m.until, m.recent = breaker.Open, now+time.Minute, nil
		}
	case m.state == breaker.HalfOpen:
		m.failures, m.recent = 0, nil
		m.good++
		if m.good == m.successes {
			m.state = breaker.Closed
		}
	default:
		m.failures = 0
	}
}

func (m *circuitModel) force(mode breaker.Mode) {
	if mode == m.mode {
		return
	}
	switch {
	case mode == breaker.ForcedOpen:
		m.state = breaker.Open
	case mode == breaker.Automatic && m.state == breaker.Open:
		m.state = breaker.HalfOpen
	default:
		m.state = breaker.Closed
	}
	m.mode, m.failures, m.good, m.recent = mode, 0, 0, nil
}

// TestB05BreakerModel makes random calls of all kinds to a server that ends them with random codes, in
// random states that operators force: a sequential model has the same rejections and states, and the
// ledger of the server the same executions. Engines are compared with models in more ways, also
// concurrently, by the tests of their packages.
func TestB05BreakerModel(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := serveSick(t)
	testseed.Check(t, func(t *rapid.T) {
		clock := hauberktest.NewClock()
		m := &circuitModel{
			threshold: rapid.SampledFrom([]int{0, 3}).Draw(t, "threshold"), window: rapid.IntRange(1, 6).Draw(t, "window"),
			ratio:     rapid.SampledFrom([]float64{0.3, 0.5, 1}).Draw(t, "ratio"),
			successes: rapid.IntRange(1, 3).Draw(t, "successes"),
		}
		m.minCalls = rapid.IntRange(1, m.window).Draw(t, "least")
		b := breaker.New(breaker.Config{
			FailureThreshold: m.threshold, FailureRatio: m.ratio, WindowCalls: m.window, MinCalls: m.minCalls,
			OpenFor: time.Minute, HalfOpenMaxCalls: 1, SuccessThreshold: m.successes,
		}, breaker.WithClock(clock.Now))
		conn := s.dial(t, b)
		defer func() { _ = conn.Close() }()
		now := time.Duration(0)
		s.code.Store(uint32(codes.OK))
		if err := callKind(context.Background(), conn, hauberk.Unary); err != nil { // makes the circuit
			t.Fatal(err)
		}
		m.ended(now, false, false)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				now += time.Minute
				clock.Advance(time.Minute)
			case 1:
				m.force(forceRandomly(t, b))
			default:
				s.compare(t, conn, m, now)
			}
			if got := b.States()[service]; len(b.States()) > 0 && got != m.state {
				t.Fatalf("the circuit is %v, in the model %+v", got, m)
			}
		}
	})
}

func forceRandomly(t *rapid.T, b *breaker.Interceptor) breaker.Mode {
	mode := breaker.Mode(rapid.SampledFrom([]uint8{0, 0, 1, 2}).Draw(t, "mode"))
	switch mode {
	case breaker.ForcedOpen:
		b.ForceOpen(service)
	case breaker.ForcedClosed:
		b.ForceClosed(service)
	default:
		b.Automatic(service)
	}
	return mode
}

// compare makes a call, and compares its end and its execution with a model.
func (s *sick) compare(t *rapid.T, conn *grpc.ClientConn, m *circuitModel, now time.Duration) {
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	code := rapid.SampledFrom([]codes.Code{
		codes.OK, codes.OK, codes.Unavailable, codes.Internal, codes.NotFound, codes.Canceled,
	}).Draw(t, "code")
	s.code.Store(uint32(code))
	before := s.executed.Load()
	err := callKind(context.Background(), conn, kind)
	admitted := m.admits(now)
	if executed := s.executed.Load() - before; (executed == 1) != admitted || executed > 1 {
		t.Fatalf("%v: executed %d times, in the model %t: %+v", kind, executed, admitted, m)
	}
	if rejected := hauberk.RejectionOf(err) != nil; rejected == admitted || admitted && status.Code(err) != code {
		t.Fatalf("%v with %v: %v, in the model %t: %+v", kind, code, err, admitted, m)
	}
	if admitted {
		m.ended(now, code == codes.Unavailable || code == codes.Internal, code == codes.Canceled)
	}
}
