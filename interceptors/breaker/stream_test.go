package breaker_test

import (
	"context"
	"errors"
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

// watches is a client of streams that send a message at once and then stay open.
type watches struct {
	*hauberktest.Env

	breaker *breaker.Interceptor
	clock   *hauberktest.Clock
	kind    hauberk.Kind
	fail    codes.Code    // of calls that start now; OK is to stay open
	silent  bool          // streams that start now send no message
	before  time.Duration // the clock advances by it before the first message
	restart chan struct{} // closed to end all open streams with UNAVAILABLE
}

func startWatches(t *testing.T, kind hauberk.Kind, config breaker.Config, inner ...hauberk.Interceptor) *watches {
	t.Helper()
	w := &watches{clock: hauberktest.NewClock(), kind: kind, restart: make(chan struct{})}
	w.breaker = breaker.New(config, breaker.WithClock(w.clock.Now))
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		restart, silent := w.restart, w.silent
		if w.fail != codes.OK {
			return status.Error(w.fail, "down")
		}
		if w.before > 0 {
			w.clock.Advance(w.before)
		}
		if !silent {
			if err := s.Send(&testpb.Response{}); err != nil {
				return err
			}
		} else if err := grpc.SendHeader(ctx, nil); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-restart:
			return status.Error(codes.Unavailable, "the server restarts")
		}
	}}
	w.Env = hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, append([]hauberk.Interceptor{w.breaker}, inner...)...)
	return w
}

// watch opens a stream, and receives its first message or its end.
func (w *watches) watch(t *testing.T, ctx context.Context) (grpc.ClientStream, error) { //nolint:revive // as t.Helper
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: w.kind.ClientStreams(), ServerStreams: true}
	stream, err := w.Conn.NewStream(ctx, desc, hauberktest.FullMethod(w.kind))
	if err != nil {
		return nil, err
	}
	_ = stream.SendMsg(&testpb.Request{})
	_ = stream.CloseSend()
	if w.silent {
		_, err = stream.Header()
		return stream, err
	}
	return stream, stream.RecvMsg(new(testpb.Response))
}

// open opens n streams that stay open.
func (w *watches) open(t *testing.T, n int) []grpc.ClientStream {
	t.Helper()
	streams := make([]grpc.ClientStream, n)
	for i := range streams {
		var err error
		if streams[i], err = w.watch(t, t.Context()); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	return streams
}

// end receives the end of a stream.
func end(t *testing.T, stream grpc.ClientStream, want codes.Code) {
	t.Helper()
	if err := stream.RecvMsg(new(testpb.Response)); status.Code(err) != want {
		t.Errorf("the stream ended with %v, want %v", err, want)
	}
}

func (w *watches) want(t *testing.T, state breaker.State, failures int) {
	t.Helper()
	if got := w.breaker.States()[service]; got != state {
		t.Errorf("the circuit is %v, want %v", got, state)
	}
	if got := w.breaker.Failures()[service]; got != failures {
		t.Errorf("%d failures, want %d", got, failures)
	}
}

// streaming runs a test for the kinds that stream responses.
func streaming(t *testing.T, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			test(t, kind)
		})
	}
}

// TestRestartEndsStreams: when a server restarts, its streams that have received messages or
// a header open no circuit, neither old nor young ones.
func TestRestartEndsStreams(t *testing.T) {
	for age, failures := range map[time.Duration]int{0: 1, time.Hour: 0} {
		for _, silent := range []bool{false, true} {
			streaming(t, func(t *testing.T, kind hauberk.Kind) {
				w := startWatches(t, kind, breaker.Config{FailureThreshold: 3})
				w.silent = silent
				streams := w.open(t, 10)
				w.clock.Advance(age)
				close(w.restart)
				for _, s := range streams {
					end(t, s, codes.Unavailable)
				}
				w.want(t, breaker.Closed, failures)
			})
		}
	}
}

// TestStreamsThatFailEarly: streams that fail one after the other after their first message
// open the circuit.
func TestStreamsThatFailEarly(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		w := startWatches(t, kind, breaker.Config{FailureThreshold: 3})
		for i := range 3 {
			w.want(t, breaker.Closed, i)
			streams := w.open(t, 1)
			close(w.restart)
			end(t, streams[0], codes.Unavailable)
			w.restart = make(chan struct{})
		}
		w.want(t, breaker.Open, 3)
	})
}

// TestEstablishedStreamResets: an established stream is a success of the moment when it was
// established, however it ends.
func TestEstablishedStreamResets(t *testing.T) {
	for _, cancels := range []bool{false, true} {
		streaming(t, func(t *testing.T, kind hauberk.Kind) {
			w := startWatches(t, kind, breaker.Config{FailureThreshold: 3, EstablishedAfter: time.Minute})
			fail := func() {
				w.fail = codes.Unavailable
				_, _ = w.watch(t, t.Context())
				w.fail = codes.OK
			}
			live := func(age time.Duration) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream, err := w.watch(t, ctx)
				if err != nil {
					t.Fatal(err)
				}
				w.clock.Advance(age)
				want := codes.Canceled
				if cancels {
					cancel()
				} else {
					want = codes.Unavailable
					close(w.restart)
				}
				end(t, stream, want)
				w.restart = make(chan struct{})
			}
			fail()
			live(time.Minute)
			w.want(t, breaker.Closed, 0)
			fail()
			long := w.open(t, 1)
			w.clock.Advance(time.Hour)
			fail()
			close(w.restart)
			end(t, long[0], codes.Unavailable) // it was a success before the second failure
			w.restart = make(chan struct{})
			w.want(t, breaker.Closed, 2)
			live(time.Minute)
			w.want(t, breaker.Closed, 0)
		})
	}
}

// TestDeadlineOfStream: the deadline of a stream that has received a header or a message says
// nothing about the server.
func TestDeadlineOfStream(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		for _, silent := range []bool{false, true} {
			w := startWatches(t, kind, breaker.Config{FailureThreshold: 3})
			w.silent = silent
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			stream, err := w.watch(t, ctx)
			if err != nil {
				t.Fatal(err)
			}
			end(t, stream, codes.DeadlineExceeded)
			cancel()
			w.want(t, breaker.Closed, 0)
		}
	})
}

// TestWatchesCloseTheCircuit: a service whose streams stay open closes its circuit once the
// first of them is established.
func TestWatchesCloseTheCircuit(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) { closeByWatches(t, kind) })
	t.Run("around concurrent attempts", func(t *testing.T) {
		hauberktest.CheckLeaks(t)
		closeByWatches(t, hauberk.ServerStream, hauberk.Func(onCopy))
	})
}

// onCopy makes a call on a copy, as hedging does.
func onCopy(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	attempt := call.Attempt()
	defer call.Adopt(attempt)
	return next(ctx, attempt)
}

func closeByWatches(t *testing.T, kind hauberk.Kind, inner ...hauberk.Interceptor) {
	t.Helper()
	w := startWatches(t, kind, breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 2}, inner...)
	w.fail = codes.Unavailable
	_, _ = w.watch(t, t.Context())
	w.fail = codes.OK
	w.clock.Advance(time.Minute)
	streams := w.open(t, 2)
	w.clock.Advance(time.Second - 1)
	if _, err := w.watch(t, t.Context()); !errors.Is(err, breaker.ErrHalfOpen) {
		t.Errorf("before the probes are established: %v", err)
	}
	w.clock.Advance(1)
	w.open(t, 5)
	w.want(t, breaker.Closed, 0)
	close(w.restart)
	for _, s := range streams {
		end(t, s, codes.Unavailable)
	}
	w.want(t, breaker.Closed, 0)
}

// TestSilentProbe: a probe that has received a response header alone closes the circuit at
// its end only. It is replaced after ProbeTimeout.
func TestSilentProbe(t *testing.T) {
	streaming(t, func(t *testing.T, kind hauberk.Kind) {
		w := startWatches(t, kind, breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 1})
		w.fail = codes.Unavailable
		_, _ = w.watch(t, t.Context())
		w.fail, w.silent = codes.OK, true
		w.clock.Advance(time.Minute)
		w.open(t, 1)
		w.clock.Advance(time.Minute - 1)
		if _, err := w.watch(t, t.Context()); !errors.Is(err, breaker.ErrHalfOpen) {
			t.Errorf("concurrently with the probe: %v", err)
		}
		w.clock.Advance(1)
		streams := w.open(t, 1)
		w.want(t, breaker.HalfOpen, 1)
		w.clock.Advance(time.Second)
		close(w.restart)
		end(t, streams[0], codes.Unavailable)
		w.want(t, breaker.Closed, 0)
	})
}
