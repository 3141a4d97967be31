package idempotencyredis_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// A server whose memory is full takes no keys and no outcomes. The key of a call that it had admitted before stays
// with the call, also after the lease: no repeat executes.
func TestFull(t *testing.T) {
	srv := redistest.Start(t)
	store := connect(t, at("shop", srv.Addr))
	var handled atomic.Int64
	const lease = 200 * time.Millisecond
	config := idempotency.Config{Lease: lease, StoreTimeout: 10 * time.Second, RejectRunning: true}
	call := node(t, &handled, filling{store, srv}, config)
	if text, err := call("k"); text != "result" || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	if _, err := store.Begin(t.Context(), idempotency.Key{1}, "a", idempotency.Fingerprint{}, time.Minute); !errors.Is(err, idempotency.ErrFull) {
		t.Errorf("%v; want ErrFull", err)
	}
	<-time.After(3 * lease)
	if _, err := call("k"); hauberk.Reason(err) != idempotency.ReasonRunning || handled.Load() != 1 {
		t.Errorf("%v, %d executions; want that the first call runs, and 1", err, handled.Load())
	}
}

// filling is a store whose server has no memory left once a call runs.
type filling struct {
	*idempotencyredis.Store

	srv *redistest.Server
}

func (f filling) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (idempotency.Record, error) {
	defer f.srv.Do("CONFIG", "SET", "maxmemory", "1")
	return f.Store.Begin(ctx, key, owner, of, lease)
}

// The name of a server that is not there does not make it full.
func TestNotFull(t *testing.T) {
	store := idempotencyredis.New(idempotencyredis.Config{Name: "shop", Addresses: []string{"ROOM.invalid:6379"}})
	defer func() { _ = store.Close() }()
	_, err := store.Begin(t.Context(), idempotency.Key{}, "a", idempotency.Fingerprint{}, time.Second)
	if err == nil || errors.Is(err, idempotency.ErrFull) || strings.Contains(err.Error(), "memory is full") {
		t.Errorf("%v", err)
	}
}
