package breaker_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// TestForceOpen: a circuit that is forced open rejects all calls, says so, and probes when it is
// automatic again.
func TestForceOpen(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, config)
		if w.breaker.ForceOpen(service) {
			t.Error("a circuit exists before the first call")
		}
		for range 2 {
			err := w.call(t, codes.OK)
			r := hauberk.RejectionOf(err)
			if !errors.Is(err, breaker.ErrOpen) || r.RetryAfter != 0 || status.Convert(err).Message() != "circuit breaker is open" {
				t.Fatalf("got %v, want a rejection without a time", err)
			}
			if forced := metadataOf(err)["forced"]; forced != "true" {
				t.Errorf("forced is %q", forced)
			}
			w.clock.Advance(time.Hour)
		}
		if c := w.breaker.Circuits()[0]; c.Mode != breaker.ForcedOpen || c.State != breaker.Open || c.OpenFor != 0 {
			t.Errorf("%+v", c)
		}
		if !w.breaker.Automatic(service) {
			t.Error("the circuit does not exist")
		}
		w.wantState(t, breaker.HalfOpen)
		if err := w.call(t, codes.OK); err != nil {
			t.Error(err)
		}
		w.wantState(t, breaker.Closed)
		w.repeat(t, 3, codes.Unavailable)
		if forced, ok := metadataOf(w.call(t, codes.OK))["forced"]; ok {
			t.Errorf("forced is %q in the rejection by failures", forced)
		}
	})
}

// metadataOf returns the metadata of the ErrorInfo of an error.
func metadataOf(err error) map[string]string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()
		}
	}
	return nil
}

// TestForceClosed: a circuit that is forced closed admits all calls, and counts from zero later.
func TestForceClosed(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w := start(t, kind, config)
		w.repeat(t, 3, codes.Unavailable)
		w.breaker.ForceClosed(service)
		for range 10 {
			if err := w.call(t, codes.Unavailable); errors.Is(err, breaker.ErrOpen) {
				t.Fatal(err)
			}
		}
		w.wantState(t, breaker.Closed)
		w.breaker.Automatic(service)
		w.repeat(t, 2, codes.Unavailable)
		w.wantState(t, breaker.Closed)
		w.repeat(t, 1, codes.Unavailable)
		w.wantState(t, breaker.Open)
	})
}

// TestForceAll: the modes of all circuits hold for those that are made later, and a circuit may be
// excepted.
func TestForceAll(t *testing.T) {
	b := breaker.New(breaker.Config{})
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{})
	rejected := func(service string) bool {
		return errors.Is(conn.Invoke(t.Context(), "/"+service+"/m", &testpb.Request{}, reply), breaker.ErrOpen)
	}
	check := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, s := range []string{"a", "b", "c"} {
			if rejected(s) {
				got = append(got, s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q are rejected, want %q", when, got, want)
		}
	}
	rejected("a")
	b.ForceAllOpen()
	check("all open", "a", "b", "c")
	b.Automatic("b")
	check("but b", "a", "c")
	b.ForceAllClosed()
	check("all closed")
	b.ForceOpen("c")
	check("but c", "c")
	b.AllAutomatic()
	check("all automatic")
}

// TestForceOutlivesEviction: a circuit that was removed is forced again when it is made again.
func TestForceOutlivesEviction(t *testing.T) {
	b := breaker.New(breaker.Config{MaxCircuits: 1})
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{})
	call := func(service string) error {
		return conn.Invoke(t.Context(), "/"+service+"/m", &testpb.Request{}, reply)
	}
	b.ForceOpen("a")
	for range 3 {
		if err := call("a"); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("got %v", err)
		}
		if err := call("b"); err != nil {
			t.Error(err)
		}
	}
}

// TestForceRace: modes that are set while circuits are made reach all of them.
func TestForceRace(t *testing.T) {
	for range 50 {
		b := breaker.New(breaker.Config{})
		conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if i%4 == 0 {
					b.ForceAllClosed()
					b.ForceAllOpen()
					return
				}
				for s := range strings.SplitSeq("abcdefgh", "") {
					_ = conn.Invoke(t.Context(), "/"+s+"/m", &testpb.Request{}, reply)
				}
			})
		}
		all.Wait()
		for _, c := range b.Circuits() {
			if c.Mode != breaker.ForcedOpen {
				t.Fatalf("%s is %v", c.Name, c.Mode)
			}
		}
	}
}

// TestOnChangeForces: a function that receives a change may force circuits, also during a change that
// is forced.
func TestOnChangeForces(t *testing.T) {
	var b *breaker.Interceptor
	b = breaker.New(config, breaker.WithOnChange(func(c breaker.Change) {
		if c.Mode == breaker.ForcedOpen {
			b.ForceClosed(c.Circuit)
		}
	}))
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{})
	_ = conn.Invoke(t.Context(), "/s/m", &testpb.Request{}, reply)
	b.ForceAllOpen()
	if c := b.Circuits()[0]; c.Mode != breaker.ForcedClosed {
		t.Errorf("%+v", c)
	}
}

// TestForceNothing: a zero Interceptor, and one with a wrong configuration, have no circuits.
func TestForceNothing(t *testing.T) {
	for _, b := range []*breaker.Interceptor{new(breaker.Interceptor), breaker.New(breaker.Config{By: 9})} {
		b.ForceAllOpen()
		if b.ForceOpen("x") || b.ForceClosed("x") || b.Automatic("x") || len(b.Circuits()) != 0 {
			t.Error("it has circuits")
		}
		b.Measurements()
	}
}

// TestMeasurements: states, modes and changes are measured.
func TestMeasurements(t *testing.T) {
	w := start(t, hauberk.Unary, config)
	w.repeat(t, 4, codes.Unavailable)
	w.breaker.ForceOpen("other")
	w.breaker.ForceClosed(service)
	got := make(map[string]float64)
	for _, m := range w.breaker.Measurements() {
		got[m.Name+" "+m.LabelValue] = m.Value
		if m.Counter != strings.HasSuffix(m.Name, "_total") || m.Help == "" {
			t.Errorf("%+v", m)
		}
	}
	for name, want := range map[string]float64{
		"breaker_circuits closed": 1, "breaker_circuits open": 0, "breaker_circuits half_open": 0,
		"breaker_forced_circuits forced_closed": 1, "breaker_forced_circuits forced_open": 0,
		"breaker_changes_total open": 1, "breaker_changes_total closed": 1, "breaker_changes_total half_open": 0,
		"breaker_fallbacks_total ": 0, "breaker_dropped_changes_total ": 0, "breaker_listener_panics_total ": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
}
