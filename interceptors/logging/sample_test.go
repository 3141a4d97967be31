package logging_test

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// repeat makes calls one after the other and waits for their records.
func repeat(t *testing.T, env *hauberktest.Env, n int) {
	t.Helper()
	for range n {
		_ = env.Call(t.Context())
	}
	env.Server.GracefulStop()
}

// The first calls of a second are logged, and then some. Each record has the number of
// calls that were left out before it.
func TestSampling(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, clock := newJournal(), hauberktest.NewClock()
		config := logging.Config{Sampling: logging.Sampling{First: 2, OneIn: 3}}
		x := logging.New(config, j.option(), logging.WithClock(clock.Now))
		env := c.Start(t, x)
		for range 9 { // ##..#..#.
			_ = env.Call(t.Context())
		}
		await(t, j, 4)
		clock.Advance(time.Second)
		repeat(t, env, 1)
		if got := pluck(j.records(t), logging.KeySampledOut); !slices.Equal(got, []any{nil, nil, 2.0, 2.0, 1.0}) {
			t.Errorf("left out before each record: %v", got)
		}
		if got := x.SampledOut(); got != 5 {
			t.Errorf("%d calls sampled out, want 5", got)
		}
	})
}

// A call whose start was left out has no record of its end, if that has the same level.
func TestSamplingOfStarts(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, clock := newJournal(), hauberktest.NewClock()
		config := logging.Config{Start: true, Sampling: logging.Sampling{OneIn: 2}}
		env := c.Start(t, logging.New(config, j.option(), logging.WithClock(clock.Now)))
		repeat(t, env, 4)
		checkEqual(t, pluck(j.records(t), "msg"), []any{"call started", "call ended", "call started", "call ended"})
	})
}

// await waits for records, which a server writes concurrently with the caller.
func await(t *testing.T, j *journal, n int) {
	t.Helper()
	for range n {
		select {
		case <-j.wrote:
		case <-t.Context().Done():
			t.Fatal("the records did not come")
		}
	}
}

// Failed and slow calls are always logged.
func TestAlways(t *testing.T) {
	for _, test := range []struct {
		name   string
		config logging.Config
		code   codes.Code
		takes  time.Duration
		want   int
	}{
		{"good", logging.Config{}, codes.OK, 0, 1},
		{"error", logging.Config{}, codes.Internal, 0, 5},
		{"as of WARN", logging.Config{}, codes.Unavailable, 0, 5},
		{"below WARN", logging.Config{}, codes.NotFound, 0, 1},
		{"as of INFO", logging.Config{Sampling: logging.Sampling{Always: new(slog.LevelInfo)}}, codes.OK, 0, 5},
		{"as of ERROR", logging.Config{Sampling: logging.Sampling{Always: new(slog.LevelError)}}, codes.Unavailable, 0, 1},
		{"slow", logging.Config{Slow: 2 * time.Millisecond}, codes.OK, 2 * time.Millisecond, 5},
		{"not slow", logging.Config{Slow: time.Hour}, codes.OK, time.Millisecond, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j, clock := newJournal(), hauberktest.NewClock()
			test.config.Sampling.First = 1
			x := logging.New(test.config, j.option(), logging.WithClock(clock.Now))
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ServerStream}
			env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				clock.Advance(test.takes)
				return status.Error(test.code, "")
			}}, x)
			repeat(t, env, 5)
			if got := len(j.records(t)); got != test.want || x.SampledOut() != int64(5-test.want) {
				t.Errorf("%d records and %d calls left out; want %d records of 5", got, x.SampledOut(), test.want)
			}
		})
	}
}

// A call is logged from its start to its end, or not at all unless it fails.
func TestSamplingOfWholeCalls(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		var calls atomic.Int32
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if calls.Add(1) == 3 {
				return status.Error(codes.Unimplemented, "")
			}
			return hauberktest.Echo(ctx, s)
		}}
		config := logging.Config{Start: true, Messages: true, Sampling: logging.Sampling{First: 1}}
		x := logging.New(config, j.option(), logging.WithClock(hauberktest.NewClock().Now))
		repeat(t, c.StartWith(t, backend, x), 4)
		want := []any{"call started", "message passed", "message passed", "call ended", "call ended"}
		records := j.records(t)
		if got := pluck(records, "msg"); !slices.Equal(got, want) {
			t.Fatalf("logged %v, want %v", got, want)
		}
		check(t, records[4], map[string]any{logging.KeyStatusCode: "UNIMPLEMENTED", logging.KeySampledOut: 1.0})
		if x.SampledOut() != 2 {
			t.Errorf("%d calls left out, want 2", x.SampledOut())
		}
	})
}

// Unknown methods are counted together, so that a caller cannot avoid sampling with
// invented names.
func TestSamplingOfUnknownMethods(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	config := logging.Config{Sampling: logging.Sampling{First: 2, Always: new(slog.LevelError + 1)}}
	x := logging.New(config, j.option(), logging.WithClock(hauberktest.NewClock().Now))
	env := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}.Start(t, x)
	for _, name := range []string{"/a.B/C", "/a.B/D", "/e.F/G", "/h.I/J"} {
		_ = env.Do(t.Context(), name, nil)
	}
	env.Server.GracefulStop()
	if got := len(j.records(t)); got != 2 {
		t.Errorf("%d records, want 2", got)
	}
}
