package limits

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Each limit is counted each time, and logged at most once a minute with the times since.
func TestOneRecordAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &Recorder{Logger: slog.New(slog.NewTextHandler(&out, nil))}
		for range 3 {
			r.Met(Headers, "a")
		}
		r.MetBy(fmt.Errorf("wrapped: %w", &Error{Limit: MessageSize}), "b")
		r.MetBy(context.Canceled, "c")
		r.Count(Idle)
		<-time.After(time.Minute - 1) // fake
		r.Met(Headers, "a")
		if n := strings.Count(out.String(), "\n"); n != 2 {
			t.Errorf("%d records in the first minute, want one for each of 2 limits:\n%s", n, &out)
		}
		<-time.After(1)
		r.Met(Headers, "d")
		r.Wait()
		text := out.String()
		for _, want := range []string{
			`limit=header_list peer=a count=1`, `limit=message_size peer=b count=1`, `limit=header_list peer=d count=4`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		got := maps.Collect(r.Counts)
		if got["header_list"] != 5 || got["message_size"] != 1 || got["connection_idle"] != 1 || len(got) != int(count)-1 {
			t.Errorf("counts %v", got)
		}
	})
}

// stuck is a log handler that waits.
type stuck struct {
	slog.Handler

	release chan struct{}
	records *int
}

func (stuck) Enabled(context.Context, slog.Level) bool { return true }

func (s stuck) Handle(context.Context, slog.Record) error {
	*s.records++
	<-s.release
	return nil
}

// A logger that is stuck holds up no caller, and makes only one goroutine for each limit.
func TestStuckLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		records := 0
		r := &Recorder{Logger: slog.New(stuck{slog.DiscardHandler, release, &records})}
		for range 3 {
			r.Met(Headers, "a")
			<-time.After(2 * time.Minute) // fake
		}
		close(release)
		r.Wait()
		if got := maps.Collect(r.Counts); got["header_list"] != 3 || records != 1 {
			t.Errorf("%d records, counts %v", records, got)
		}
	})
}

// A recorder that is nil does nothing, and None is no limit.
func TestNothingToRecord(t *testing.T) {
	var none *Recorder
	none.Met(Headers, "")
	none.Count(Headers)
	none.MetBy(&Error{Limit: Headers}, "")
	r := new(Recorder)
	r.Met(None, "")
	for limit, n := range r.Counts {
		if n != 0 || limit == "" {
			t.Errorf("%q was met %d times", limit, n)
		}
	}
}

// The error has a status for the client.
func TestError(t *testing.T) {
	err := error(&Error{Memory, codes.Unavailable, "no"})
	if st := status.Convert(err); st.Code() != codes.Unavailable || st.Message() != "no" {
		t.Errorf("status %v", st)
	}
}

// A gauge is full from nine tenths of the limit on, until less than 85 % are used.
func TestGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		used, measured := uint64(0), 0
		g := NewGauge(1000)
		g.measure = func() uint64 {
			measured++
			return used
		}
		for _, step := range []struct {
			used uint64
			full bool
		}{{0, false}, {899, false}, {900, true}, {5000, true}, {850, true}, {849, false}, {890, false}, {901, true}} {
			used = step.used
			<-time.After(period) // fake
			if got := g.Full(); got != step.full {
				t.Errorf("%d of 1000 bytes: %v", step.used, got)
			}
			used = 0
			if got := g.Full(); got != step.full {
				t.Errorf("%d of 1000 bytes, without a measurement: %v", step.used, got)
			}
		}
		if measured != 8 {
			t.Errorf("%d measurements in 8 periods", measured)
		}
	})
	if NewGauge(0).Full() {
		t.Error("a gauge without a limit is full")
	}
	if used := InUse(); used < 1<<20 || used > 1<<40 {
		t.Errorf("%d bytes are in use", used)
	}
}
