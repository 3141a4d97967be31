package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// transfer is a store to which a large outcome takes time.
type transfer struct {
	idempotency.Store

	takes time.Duration
	errs  []error // of the first transfers, after that time
	large int     // transfers
}

func (s *transfer) Finish(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, text []byte, ttl time.Duration,
) (bool, error) {
	if len(text) < 1000 {
		return s.Store.Finish(ctx, key, owner, of, text, ttl)
	}
	s.large++
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if s.large <= len(s.errs) {
		return false, s.errs[s.large-1]
	}
	return s.Store.Finish(ctx, key, owner, of, text, ttl)
}

// A call with a large result is executed once, however long its transfer to the store takes, and whether or
// not the store takes it. Its result is kept if possible.
func TestLargeResults(t *testing.T) {
	fails := errors.New("the value is too large")
	for name, test := range map[string]struct {
		takes     time.Duration
		errs      []error
		transfers int
		want      codes.Code // of repeats
	}{
		"taken":                           {transfers: 1},
		"taken after the lease":           {takes: 59 * time.Second, transfers: 1},
		"not taken within StoreTimeout":   {takes: 61 * time.Second, transfers: 1, want: codes.FailedPrecondition},
		"taken in the second try":         {errs: []error{fails}, transfers: 2},
		"rejected":                        {errs: []error{fails, fails, fails}, transfers: 2, want: codes.FailedPrecondition},
		"taken in the second try, slowly": {takes: 40 * time.Second, errs: []error{fails}, transfers: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := idempotency.NewMemory(idempotency.MemoryConfig{})
				store := &transfer{Store: memory, takes: test.takes, errs: test.errs}
				w := newWorld(t, idempotency.New(
					idempotency.Config{Lease: 30 * time.Second, StoreTimeout: time.Minute}, idempotency.WithStore(store)))
				text := strings.Repeat("x", 100<<10)
				first := w.start(t.Context(), text, "k")
				meanwhile := w.start(t.Context(), text, "k")
				after(3 * time.Minute)
				w.wants(text+" 1", first)
				for _, c := range []*caller{meanwhile, w.call(t.Context(), text, "k")} {
					if !c.done.Load() || hauberk.CodeOf(c.err) != test.want || c.err == nil && c.text != text+" 1" {
						t.Errorf("a repeat ended: %t, with %d bytes and %v; want %v", c.done.Load(), len(c.text), c.err, test.want)
					}
				}
				if n := w.handled.Load(); n != 1 || store.large != test.transfers {
					t.Errorf("%d executions and %d transfers; want 1 and %d", n, store.large, test.transfers)
				}
			})
		})
	}
}
