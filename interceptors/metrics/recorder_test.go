package metrics_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// tape is a Recorder that stores what it receives.
type tape struct {
	mu      sync.Mutex
	records []string
}

func (r *tape) Record(took time.Duration, exemplar map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, fmt.Sprintf("%v+%d", took, len(exemplar)))
}

// tapes contains a Recorder for each series.
type tapes map[string]*tape

func (r *tape) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.records)
}

func (all tapes) open(id metrics.Identity) metrics.Recorder {
	name := fmt.Sprint(id.Side, " ", id.Kind, " ", id.Service, "/", id.Method, id.Labels)
	if all[name] != nil {
		panic(name + " was opened twice")
	}
	all[name] = new(tape)
	return all[name]
}

func TestRecorders(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, labels := range []bool{false, true} {
			clock := hauberktest.NewClock()
			options := []metrics.Option{metrics.WithClock(clock.Now), metrics.WithExemplars(byTrace)}
			want := fmt.Sprint(c.Side, " ", c.Kind, " ", hauberktest.FullMethod(c.Kind)[1:], "[]")
			if labels {
				options = append(options, metrics.WithLabel("tenant", func(context.Context, *hauberk.Call) string { return "acme" }))
				want = want[:len(want)-1] + "acme]"
			}
			m := metrics.New(metrics.Config{}, options...)
			early, late := tapes{}, tapes{}
			m.AddRecorder(early.open)
			env := c.Start(t, m, taking(clock, time.Second, time.Minute))
			_ = env.Call(t.Context())
			m.AddRecorder(late.open) // after the series was created
			_ = env.Call(t.Context())
			for name, test := range map[string]struct {
				got  tapes
				want string
			}{"early": {early, "[1s+2 1m0s+2]"}, "late": {late, "[1m0s+2]"}} {
				if len(test.got) != 1 || test.got[want] == nil || test.got[want].String() != test.want {
					t.Errorf("%s: %v, want %s", name, test.got, want)
				}
			}
		}
	})
}

// Registered methods have recorders from the start. The number of recorders is that of series.
func TestRecordersAreBounded(t *testing.T) {
	m := metrics.New(metrics.Config{MaxMethods: 5})
	all := tapes{}
	m.AddRecorder(func(metrics.Identity) metrics.Recorder { return nil })
	m.AddRecorder(all.open)
	m.Register(map[string]grpc.ServiceInfo{"s": {Methods: []grpc.MethodInfo{{Name: "m"}}}})
	if len(all) != 1 {
		t.Errorf("%v", maps.Keys(all))
	}
	call := called(chainOf(t, m), hauberktest.Conn{Outcome: func(string) error { return status.Error(5, "no") }})
	for i := range 100 {
		_ = call(fmt.Sprintf("/s/m%d", i))
	}
	if len(all) != 1+5+1 || len(all["client unary other/other[]"].records) != 95 {
		t.Errorf("%d recorders", len(all))
	}
}
