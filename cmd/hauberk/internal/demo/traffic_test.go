package demo

import (
	"context"
	"log/slog"
	"maps"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

func open(t *testing.T) *stage {
	t.Helper()
	hauberktest.CheckLeaks(t)
	st, err := openStage(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func TestScenarios(t *testing.T) {
	want := map[string]codes.Code{
		"get a missing cart":         codes.NotFound,
		"import too much":            codes.ResourceExhausted,
		"leave while watching":       codes.Canceled,
		"get from an offline store":  codes.Unavailable,
		"call an unknown method":     codes.Unimplemented,
		"get a broken cart":          codes.Internal,
		"watch a missing cart":       codes.NotFound,
		"search a corrupt index":     codes.Unknown,
		"give up on a stuck cart":    codes.Canceled,
		"chat about a broken cart":   codes.Internal,
		"call an unknown service":    codes.Unimplemented,
		"import to an offline store": codes.Unavailable,
		"run out of time":            codes.DeadlineExceeded,
		"get a cart without id":      codes.InvalidArgument,
	}
	st := open(t)
	for _, sc := range append(successes(), failures()...) {
		err := sc.play(t.Context(), newShopper(st.conn))
		if got := hauberk.StatusOf(err).Code(); got != want[sc.name] {
			t.Errorf("%s: %v (%v); want %v", sc.name, got, err, want[sc.name])
		}
	}
}

// An abandoned chat gives its caller no outcome; the chain has it.
func TestAbandonedChatIsCounted(t *testing.T) {
	st := open(t)
	if err := abandonChat(t.Context(), newShopper(st.conn)); err != nil {
		t.Fatal(err)
	}
	st.open.Wait()
	if totals := st.totals(); totals.Calls != 1 || totals.Errors["CANCELLED"] != 1 {
		t.Errorf("totals %+v; want one cancelled call", totals)
	}
}

// The first round is played whatever happens, so that its counts are known.
func TestFirstRound(t *testing.T) {
	st := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr := newTraffic(newShopper(st.conn), 1)
	tr.run(ctx)
	st.open.Wait()
	totals := st.totals()
	checkSums(t, totals)
	if totals.Calls != 45 || tr.played != 45 || totals.OK != 30 {
		t.Errorf("played %d, counted %d, %d of them ok; want 45, 45, 30", tr.played, totals.Calls, totals.OK)
	}
	errors := map[string]uint64{
		"CANCELLED": 3, "DEADLINE_EXCEEDED": 1, "INTERNAL": 2, "INVALID_ARGUMENT": 1, "NOT_FOUND": 2,
		"RESOURCE_EXHAUSTED": 1, "UNAVAILABLE": 2, "UNIMPLEMENTED": 2, "UNKNOWN": 1,
	}
	if !maps.Equal(totals.Errors, errors) {
		t.Errorf("errors %v; want %v", totals.Errors, errors)
	}
	if refusals := map[string]uint64{"CART_FULL": 1}; !maps.Equal(totals.Refusals, refusals) {
		t.Errorf("refusals %v; want %v", totals.Refusals, refusals)
	}
}

// Calls that do not end by themselves are cancelled, and counted.
func TestEndsStuckCalls(t *testing.T) {
	st := open(t)
	stuck := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	tr := newTraffic(newShopper(st.conn), maxRate)
	tr.grace = 0
	tr.slots = make(chan struct{}, 1) // so that a third call waits for a slot, in vain
	play := get("anna")               // in the first round, which is not cancelled
	tr.scenarios = []scenario{{"get", func(ctx context.Context, s *shopper) error {
		now := play
		play = func(ctx context.Context, s *shopper) error {
			close(stuck)
			return get(cartStuck)(ctx, s)
		}
		return now(ctx, s)
	}}}
	go func() {
		<-stuck
		cancel()
	}()
	tr.run(ctx)
	st.open.Wait()
	if totals := st.totals(); totals.Calls != 2 || totals.OK != 1 || totals.Errors["CANCELLED"] != 1 {
		t.Errorf("totals %+v; want a call that is OK and a cancelled one", totals)
	}
}

func TestCartLimit(t *testing.T) {
	tests := []struct {
		name       string
		quantities []int32
		reason     string
	}{
		{"one item", []int32{1}, ""},
		{"as many as there may be", []int32{60, 40}, ""},
		{"one more", []int32{60, 41}, "CART_FULL"},
		{"at once", []int32{101}, "CART_FULL"},
		{"refused before the end", []int32{101, 1, 1, 1}, "CART_FULL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := importItems("anna", test.quantities...)(t.Context(), newShopper(open(t).conn))
			if (err == nil) != (test.reason == "") || hauberk.Reason(err) != test.reason {
				t.Errorf("error %v with reason %q; want %q", err, hauberk.Reason(err), test.reason)
			}
		})
	}
}
