package guard_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/guard"
)

var errDown = errors.New("down")

// Three failures in a row open the circuit; after a time one request finds out whether the store
// answers again. Requests whose caller has left count as neither.
func TestGuard(t *testing.T) {
	now := time.Duration(0)
	var log bytes.Buffer
	g := guard.New(guard.Config{
		Name: "test", Mode: "local", Timeout: time.Second, RetryStore: 10 * time.Second,
		Clock: func() time.Duration { return now }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	asked := 0
	do := func(ctx context.Context, result error) error {
		return g.Do(ctx, func() error {
			asked++
			return result
		})
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	for _, result := range []error{errDown, errDown, nil, errDown, errDown} {
		if err := do(t.Context(), result); !errors.Is(err, result) {
			t.Errorf("%v; want %v", err, result)
		}
		_ = do(left, errDown)
	}
	if n, failing := g.Failures(); n != 4 || failing {
		t.Errorf("%d failures, failing %t; want 4 and a closed circuit", n, failing)
	}
	_ = do(t.Context(), errDown)
	if n, failing := g.Failures(); n != 5 || !failing || !strings.Contains(log.String(), `fails" error=down mode=local`) {
		t.Errorf("%d failures, failing %t, log %q; want an open circuit", n, failing, log.String())
	}
	before := asked
	if err := do(t.Context(), nil); err == nil || asked != before {
		t.Errorf("%v; the store was asked although the circuit is open", err)
	}
	now += 10 * time.Second
	if err := do(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, failing := g.Failures(); failing || !strings.Contains(log.String(), "answers again") {
		t.Errorf("log %q; want a closed circuit", log.String())
	}
}
