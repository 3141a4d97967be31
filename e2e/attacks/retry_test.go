package attacks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
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
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// receiveAll receives until a call ends.
func receiveAll(stream grpc.ClientStream, kind hauberk.Kind) error {
	for {
		switch err := stream.RecvMsg(new(testpb.Response)); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !kind.ServerStreams():
			return nil
		}
	}
}

// retrying returns a retry of all methods without long waits.
func retrying(config retry.Config, opts ...retry.Option) *retry.Interceptor {
	config.AllMethods, config.MaxReplayBytes = true, 1<<20
	if config.InitialBackoff == 0 {
		config.InitialBackoff, config.MaxBackoff = time.Millisecond, time.Millisecond
	}
	return retry.New(config, opts...)
}

var errDown = status.Error(codes.Unavailable, "down")

// TestR01AllFail: a backend that always fails gets at most 1.2 attempts for each call, and the reserve.
func TestR01AllFail(t *testing.T) {
	const clients, each = 8, 100
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			r := repeat(t, func(context.Context, hauberktest.Stream, int) error { return errDown }, retrying(retry.Config{}))
			var wg sync.WaitGroup
			for client := range clients {
				wg.Go(func() {
					for i := range each {
						if err := r.call(t.Context(), kind, fmt.Sprint(client, ".", i), 1); status.Code(err) != codes.Unavailable {
							t.Errorf("got %v, want UNAVAILABLE", err)
						}
					}
				})
			}
			wg.Wait()
			if got, most := r.sum(), clients*each*12/10+10; got > most || got < clients*each {
				t.Errorf("%d executions of %d calls, want at most %d", got, clients*each, most)
			}
		})
	}
}

// TestR04Pushback: what the backend asks for is obeyed as gRFC A6 says.
func TestR04Pushback(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   int // executions
		wait   time.Duration
	}{
		{nil, 2, time.Millisecond},
		{[]string{"0"}, 2, 0},
		{[]string{"5000"}, 2, 5 * time.Second},
		{[]string{"-1"}, 1, 0},
		{[]string{"1000000000"}, 1, 0}, // beyond MaxServerDelay
		{[]string{"1e9"}, 1, 0},
		{[]string{"99999999999999999999"}, 1, 0},
		{[]string{" 5"}, 1, 0},
		{[]string{"0x5"}, 1, 0},
		{[]string{""}, 1, 0},
		{[]string{"1.5"}, 1, 0},
		{[]string{"5", "5"}, 1, 0},
	} {
		t.Run(strings.Join(c.values, "+"), func(t *testing.T) {
			for _, kind := range kinds {
				var waited []time.Duration
				sleep := func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
				r := repeat(t, func(_ context.Context, s hauberktest.Stream, _ int) error {
					for _, value := range c.values {
						s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", value))
					}
					return errDown
				}, retrying(retry.Config{MaxAttempts: 2, NoJitter: true}, retry.WithSleep(sleep)))
				if err := r.call(t.Context(), kind, "a", 1); status.Code(err) != codes.Unavailable {
					t.Errorf("%s: %v, want UNAVAILABLE", kind, err)
				}
				if got := r.of("a"); got != c.want {
					t.Errorf("%s: %d executions, want %d", kind, got, c.want)
				}
				if len(waited) != c.want-1 || c.want > 1 && waited[0] != c.wait {
					t.Errorf("%s: waited %v, want %v", kind, waited, c.wait)
				}
			}
		})
	}
}

// TestR04PushbackBeyondDeadline: a wait that the backend asks for does not outlast the caller's deadline.
func TestR04PushbackBeyondDeadline(t *testing.T) {
	for _, kind := range kinds {
		r := repeat(t, func(_ context.Context, s hauberktest.Stream, _ int) error {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "50000"))
			return errDown
		}, retrying(retry.Config{}))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := r.call(ctx, kind, "a", 1); status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			t.Errorf("%s: %v, want UNAVAILABLE at once", kind, err)
		}
		cancel()
		if got := r.of("a"); got != 1 {
			t.Errorf("%s: %d executions, want 1", kind, got)
		}
	}
}

// TestR05DeadlineOfRetries: each attempt has less time than the one before, and a backend that hangs
// does not hold the caller longer than its deadline.
func TestR05DeadlineOfRetries(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			var mu sync.Mutex
			var left []time.Duration
			ended := make(chan struct{}, 5)
			r := repeat(t, func(ctx context.Context, _ hauberktest.Stream, times int) error {
				defer func() { ended <- struct{}{} }()
				deadline, ok := ctx.Deadline()
				if !ok {
					t.Error("an attempt without a deadline")
				}
				mu.Lock()
				left = append(left, time.Until(deadline))
				mu.Unlock()
				if times < 4 {
					return errDown
				}
				<-ctx.Done()
				return ctx.Err()
			}, retrying(retry.Config{MaxAttempts: 5}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := r.call(ctx, kind, "a", 1); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
			}
			for range 4 {
				<-ended
			}
			if got := r.of("a"); got != 4 {
				t.Errorf("%d executions, want 4", got)
			}
			for i := 1; i < len(left); i++ {
				if left[i] >= left[i-1] || left[0] > time.Second {
					t.Errorf("times left %v: want each less than the one before, from 1s", left)
				}
			}
		})
	}
}

// TestR06SynchronisedFailure: the retries of 1,000 clients that fail at the same moment are spread: at
// most twice the mean in each 100 ms. The time is simulated.
func TestR06SynchronisedFailure(t *testing.T) {
	const clients, backoff = 1000, 2 * time.Second
	for _, c := range []struct {
		name     string
		config   retry.Config
		from, to time.Duration
	}{
		{"jitter", retry.Config{InitialBackoff: backoff}, backoff * 8 / 10, backoff * 12 / 10},
		{"full jitter", retry.Config{InitialBackoff: backoff, FullJitter: true}, 0, backoff},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var mu sync.Mutex
				peaks := make(map[time.Duration]int)
				seen := 0
				c.config.MaxAttempts = 2
				conn := hauberktest.Conn{Outcome: func(string) error {
					mu.Lock()
					defer mu.Unlock()
					seen++
					if seen > clients {
						peaks[time.Since(begin).Truncate(100*time.Millisecond)]++
					}
					return errDown
				}}
				var wg sync.WaitGroup
				for range clients {
					client := hauberk.Must(hauberk.New(retrying(c.config))).ClientConn(conn)
					wg.Go(func() { _ = callOn(t.Context(), client, hauberk.Unary, "a", 1) })
				}
				wg.Wait()
				mean := clients * int(100*time.Millisecond) / int(c.to-c.from)
				for at, n := range peaks {
					if n > 2*mean {
						t.Errorf("%d retries in the 100 ms after %v, want at most twice the mean of %d", n, at, mean)
					}
				}
				if seen != 2*clients {
					t.Errorf("%d attempts of %d clients, want 2 of each", seen, clients)
				}
			})
		})
	}
}

// TestR09LargeStream: a client stream of 100 MiB that fails at its end is executed once, has its own
// error, and is not kept in memory. A short one is repeated as a whole.
func TestR09LargeStream(t *testing.T) {
	const message = 256 << 10
	text := strings.Repeat("x", message)
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		for _, messages := range []int{2, 400} {
			t.Run(fmt.Sprintf("%s of %d", kind, messages), func(t *testing.T) {
				received := make([]int, 3)
				r := repeat(t, func(_ context.Context, s hauberktest.Stream, times int) error {
					for {
						req, err := s.Recv()
						if errors.Is(err, io.EOF) {
							return errDown
						}
						if err != nil {
							return err
						}
						received[min(times, 2)] += len(req.GetText())
					}
				}, retrying(retry.Config{MaxAttempts: 2}))
				before := heap()
				ctx := metadata.AppendToOutgoingContext(t.Context(), callID, "a")
				desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: kind.ServerStreams()}
				stream, err := r.conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
				if err != nil {
					t.Fatal(err)
				}
				for range messages {
					if err := stream.SendMsg(&testpb.Request{Text: text}); err != nil {
						t.Fatal(err)
					}
				}
				if grown := int64(heap()) - int64(before); grown > 32<<20 {
					t.Errorf("%d MiB more memory in use while %d MiB were sent", grown>>20, messages*message>>20)
				}
				_ = stream.CloseSend()
				if err := receiveAll(stream, kind); status.Code(err) != codes.Unavailable {
					t.Errorf("got %v, want UNAVAILABLE", err)
				}
				want := []int{0, messages * message, 0}
				if messages == 2 {
					want[2] = want[1]
				}
				if fmt.Sprint(received) != fmt.Sprint(want) {
					t.Errorf("the attempts received %v bytes, want %v", received[1:], want[1:])
				}
			})
		}
	}
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
