package demo

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

func open(t *testing.T) *stage {
	t.Helper()
	hauberktest.CheckLeaks(t)
	st, err := openStage(t.Context(), slog.New(slog.DiscardHandler), &otelenv.Providers{})
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

		"call without a token":               codes.Unauthenticated,
		"call with a forged token":           codes.Unauthenticated,
		"call with a token of a retired key": codes.Unauthenticated,
		"call while suspended":               codes.PermissionDenied,
		"call with an expired token":         codes.Unauthenticated,
		"exceed the rate limit":              codes.ResourceExhausted,
		"search second-hand goods":           codes.Unavailable,
	}
	st := open(t)
	for _, sc := range append(successes(), failures()...) {
		err := sc.play(t.Context(), st.crowd[sc.who])
		if got := hauberk.StatusOf(err).Code(); got != want[sc.name] {
			t.Errorf("%s: %v (%v); want %v", sc.name, got, err, want[sc.name])
		}
	}
}

// The caller of an abandoned chat sees no outcome, but the chain counts it.
func TestAbandonedChatIsCounted(t *testing.T) {
	st := open(t)
	if err := abandonChat(t.Context(), st.crowd[anna]); err != nil {
		t.Fatal(err)
	}
	st.open.Wait()
	if totals := st.totals(); totals.Calls != 1 || totals.Errors["CANCELLED"] != 1 {
		t.Errorf("totals %+v; want one cancelled call", totals)
	}
}

// The first round is played even if the context is done, so that its counts are known.
func TestFirstRound(t *testing.T) {
	st := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr := newTraffic(st.crowd, 1)
	tr.run(ctx)
	st.open.Wait()
	totals := st.totals()
	checkSums(t, totals)
	if totals.Calls != 72 || tr.played != 66 || totals.OK != 49 {
		t.Errorf("played %d, counted %d calls, %d of them ok; want 66, 72, 49", tr.played, totals.Calls, totals.OK)
	}
	errors := map[string]uint64{
		"CANCELLED": 3, "DEADLINE_EXCEEDED": 1, "INTERNAL": 2, "INVALID_ARGUMENT": 1, "NOT_FOUND": 2,
		"PERMISSION_DENIED": 1, "RESOURCE_EXHAUSTED": 2, "UNAUTHENTICATED": 4, "UNAVAILABLE": 4, "UNIMPLEMENTED": 2, "UNKNOWN": 1,
	}
	if !maps.Equal(totals.Errors, errors) {
		t.Errorf("errors %v; want %v", totals.Errors, errors)
	}
	rejections := map[string]uint64{
		"CART_FULL": 1, "RATE_LIMITED": 1, "BREAKER_OPEN": 1,
		"MISSING_TOKEN": 1, "INVALID_TOKEN": 2, "TOKEN_EXPIRED": 1, "ACCESS_DENIED": 1,
	}
	if !maps.Equal(totals.Rejections, rejections) {
		t.Errorf("rejections %v; want %v", totals.Rejections, rejections)
	}
	if breakers := map[string]string{"shop.v1.Catalog": "open"}; !maps.Equal(totals.Breakers, breakers) {
		t.Errorf("breakers %v; want %v", totals.Breakers, breakers)
	}
	if want := (retryTotals{Attempts: 8, Succeeded: 4}); totals.Retries != want {
		t.Errorf("retries %+v; want %+v", totals.Retries, want)
	}
}

// The breaker opens in an outage, stays open during the outage, and closes after it.
func TestOutageEnds(t *testing.T) {
	st := open(t)
	clock := hauberktest.NewClock()
	st.breaker = newBreaker(breaker.WithClock(clock.Now))
	chain, err := st.clientChain(carla)
	if err != nil {
		t.Fatal(err)
	}
	s := newShopper(chain.ClientConn(st.conn))
	steps := []struct {
		name   string
		passes time.Duration
		code   codes.Code
		reason string
		state  string
	}{
		{"the outage begins", 0, codes.Unavailable, "", "open"},
		{"nothing is sent", 999 * time.Millisecond, codes.Unavailable, "BREAKER_OPEN", "open"},
		{"a probe fails", time.Millisecond, codes.Unavailable, "BREAKER_OPEN", "open"},
		{"a probe succeeds", time.Second, codes.OK, "", "closed"},
		{"all is well", 0, codes.OK, "", "closed"},
	}
	for _, step := range steps {
		clock.Advance(step.passes)
		err := search(querySecondHand)(t.Context(), s)
		if status.Code(err) != step.code || hauberk.Reason(err) != step.reason {
			t.Errorf("%s: error %v with reason %q; want %v, %q", step.name, err, hauberk.Reason(err), step.code, step.reason)
		}
		if got := st.totals().Breakers["shop.v1.Catalog"]; got != step.state {
			t.Errorf("%s: the breaker is %s; want %s", step.name, got, step.state)
		}
	}
}

// A call that succeeds at the second attempt counts as one call that is OK.
func TestRetriedCallIsOneCall(t *testing.T) {
	st := open(t)
	if err := get(cartFlaky)(t.Context(), st.crowd[anna]); err != nil {
		t.Fatal(err)
	}
	totals := st.totals()
	if totals.Calls != 1 || totals.OK != 1 || totals.Retries != (retryTotals{Attempts: 1, Succeeded: 1}) {
		t.Errorf("totals %+v; want one call that is OK, after one more attempt", totals)
	}
	if served := st.counts.Snapshot().Server.Methods[shoppb.Cart_Get_FullMethodName].Ended; served != 2 {
		t.Errorf("the shop served %d calls; want 2", served)
	}
}

// Calls that do not end by themselves are cancelled and counted.
func TestEndsStuckCalls(t *testing.T) {
	st := open(t)
	stuck := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	tr := newTraffic(st.crowd, maxRate)
	tr.grace = 0
	tr.slots = make(chan struct{}, 1) // so that a third call waits for a free slot
	play := get("anna")               // in the first round, which is not cancelled
	tr.scenarios = []scenario{{"get", anna, func(ctx context.Context, s *shopper) error {
		now := play
		play = func(ctx context.Context, s *shopper) error {
			close(stuck)
			return get(cartStuck)(ctx, s)
		}
		return now(ctx, s)
	}, 1}}
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
		{"the largest number", []int32{60, 40}, ""},
		{"one too many", []int32{60, 41}, "CART_FULL"},
		{"in one message", []int32{101}, "CART_FULL"},
		{"rejected before the end", []int32{101, 1, 1, 1}, "CART_FULL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := importItems("anna", test.quantities...)(t.Context(), open(t).crowd[anna])
			if (err == nil) != (test.reason == "") || hauberk.Reason(err) != test.reason {
				t.Errorf("error %v with reason %q; want %q", err, hauberk.Reason(err), test.reason)
			}
		})
	}
}
