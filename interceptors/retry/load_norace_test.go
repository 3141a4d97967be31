//go:build !race

package retry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// unreliable is a backend that fails a percentage of what it receives. It counts apart what it
// receives for the first 100 calls, by the text of the request.
type unreliable struct {
	hauberktest.Backend

	mu            sync.Mutex
	random        *rand.Rand
	percent       int
	first, beyond int
}

const first = "first"

func unreliableBackend(t *testing.T, percent int) *unreliable {
	b := &unreliable{random: testseed.Rand(t, uint64(percent)), percent: percent}
	b.Handle = func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		b.mu.Lock()
		if req.GetText() == first {
			b.first++
		} else {
			b.beyond++
		}
		fails := b.random.IntN(100) < b.percent
		b.mu.Unlock()
		if fails {
			return status.Error(codes.Unavailable, "down")
		}
		return s.Send(&testpb.Response{})
	}
	return b
}

// layered returns a client of a service that calls another with each call, and so on: layers
// clients in a row, each with retry and its defaults. The innermost service is the backend.
func layered(t *testing.T, layers int, backend *hauberktest.Backend) *hauberktest.Env {
	t.Helper()
	var env *hauberktest.Env
	for range layers {
		if inner := env; inner != nil {
			backend = &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				req, err := s.Recv()
				if err != nil {
					return err
				}
				if out := inner.Call(ctx, req.GetText()); out.Err != nil {
					return fmt.Errorf("the inner service: %w", out.Err)
				}
				return s.Send(&testpb.Response{})
			}}
		}
		chain := hauberk.Must(hauberk.New(all(retry.Config{})))
		env = hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: chain})
	}
	return env
}

// TestLoad: with the defaults and at any rate of failures, one layer sends at most 1.2 times the
// calls beyond the first 100, and what these have left of their budget, and three layers at most 1.5 times.
// The race detector makes it ten times slower; TestBudget runs with it.
func TestLoad(t *testing.T) {
	const calls = 10_000
	for layers, most := range map[int]float64{1: 1.2, 3: 1.5} {
		for _, percent := range []int{10, 50, 100} {
			t.Run(fmt.Sprintf("%d layers, %d%% failures", layers, percent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := unreliableBackend(t, percent)
					env := layered(t, layers, &b.Backend)
					var wg sync.WaitGroup
					for i := range calls {
						text := ""
						if i < 100 {
							text = first
						}
						wg.Go(func() { _ = env.Call(t.Context(), text) })
						<-time.After(time.Millisecond)
					}
					wg.Wait()
					ratio := float64(b.beyond) / (calls - 100)
					t.Logf("%d for the first 100 calls, then %.3f for each", b.first, ratio)
					left := max(0, 100+10+100/5-b.first) // of the reserve and the ratio of the first 100 calls
					if float64(b.beyond-left) > most*(calls-100) || ratio < 1 {
						t.Errorf("%d attempts for %d calls: %.3f for each, want 1 to %v and %d more", b.beyond, calls-100, ratio, most, left)
					}
				})
			})
		}
	}
}
