package breaker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// flapping is a client whose circuits open at each call that fails, and close at each that succeeds.
type flapping struct {
	conn  grpc.ClientConnInterface
	clock *hauberktest.Clock
	fail  bool
}

func startFlapping(opts ...breaker.Option) (*flapping, *breaker.Interceptor) {
	f := &flapping{clock: hauberktest.NewClock()}
	b := breaker.New(breaker.Config{FailureThreshold: 1}, append(opts, breaker.WithClock(f.clock.Now))...)
	f.conn = hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{Outcome: func(string) error {
		if f.fail {
			return status.Error(codes.Unavailable, "down")
		}
		return nil
	}})
	return f, b
}

// flap opens and closes the circuit of a service: three changes.
func (f *flapping) flap(ctx context.Context, service string) {
	for _, f.fail = range []bool{true, false} {
		_ = f.conn.Invoke(ctx, "/"+service+"/m", &testpb.Request{}, reply)
		f.clock.Advance(time.Hour)
	}
}

// measured returns a measurement of a breaker.
func measured(b *breaker.Interceptor, name string) float64 {
	for _, m := range b.Measurements() {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

// TestListenerThatBlocks: no call waits for a listener. It receives the changes in order, and those
// that exceed the queue are dropped and counted.
func TestListenerThatBlocks(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var got []breaker.Change
		f, b := startFlapping(breaker.WithListener(func(c breaker.Change) {
			<-release
			got = append(got, c)
		}))
		const flaps = 500
		for range flaps {
			f.flap(t.Context(), "s")
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("%d changes were received", len(got))
		}
		dropped := int(measured(b, "breaker_dropped_changes_total"))
		close(release)
		synctest.Wait()
		if len(got) < 1024 || len(got)+dropped != 3*flaps {
			t.Errorf("%d changes were received and %d dropped, of %d", len(got), dropped, 3*flaps)
		}
		last := breaker.Closed
		for i, c := range got {
			if c.From != last || c.Circuit != "s" {
				t.Fatalf("change %d is %+v after %v", i, c, last)
			}
			last = c.To
		}
		f.flap(t.Context(), "s")
		synctest.Wait()
		if n := len(got) + dropped; n != 3*flaps+3 {
			t.Errorf("%d changes in the end", n)
		}
	})
}

// TestListenerThatPanics: a listener that panics or exits harms neither calls nor other listeners.
func TestListenerThatPanics(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f, b := startFlapping(
			breaker.WithListener(func(breaker.Change) { panic("on purpose") }),
			breaker.WithListener(func(c breaker.Change) {
				if c.To == breaker.HalfOpen {
					panic("on purpose")
				}
				got = append(got, c.To.String())
			}))
		f.flap(t.Context(), "s")
		f.flap(t.Context(), "s")
		synctest.Wait()
		if text := strings.Join(got, " "); text != "open closed open closed" {
			t.Errorf("received %s", text)
		}
		if n := measured(b, "breaker_listener_panics_total"); n != 8 {
			t.Errorf("%v panics, want 8", n)
		}
	})
}

// TestListenerThatExits: runtime.Goexit in a listener ends only its goroutine.
func TestListenerThatExits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		received := 0
		f, _ := startFlapping(breaker.WithListener(func(breaker.Change) {
			received++
			if received == 1 {
				runtime.Goexit()
			}
		}))
		for range 3 {
			f.flap(t.Context(), "s")
			synctest.Wait()
		}
		if received != 9 {
			t.Errorf("%d changes were received, want 9", received)
		}
	})
}

// TestListenerOfManyCircuits: with several circuits that change concurrently, each one's changes are
// in order.
func TestListenerOfManyCircuits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var mu sync.Mutex
	last := make(map[string]breaker.State)
	received := 0
	done := make(chan struct{})
	const circuits, forces = 8, 30
	b := breaker.New(breaker.Config{}, breaker.WithListener(func(c breaker.Change) {
		mu.Lock()
		defer mu.Unlock()
		if last[c.Circuit] != c.From {
			t.Errorf("%+v after %v", c, last[c.Circuit])
		}
		last[c.Circuit] = c.To
		received++
		if received == circuits*forces*2 {
			close(done)
		}
	}))
	conn := hauberk.Must(hauberk.New(b)).ClientConn(hauberktest.Conn{})
	var all sync.WaitGroup
	for i := range circuits {
		all.Go(func() {
			name := fmt.Sprint("s", i)
			_ = conn.Invoke(t.Context(), "/"+name+"/m", &testpb.Request{}, reply)
			for range forces {
				b.ForceOpen(name)
				b.ForceClosed(name)
			}
		})
	}
	all.Wait()
	<-done
}

// TestLogger: one record for each change, at Warn if the circuit opens.
func TestLogger(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&out, nil))
		f, b := startFlapping(breaker.WithLogger(logger))
		f.flap(t.Context(), "s\u202e")
		b.ForceOpen("s\u202e")
		synctest.Wait()
		want := []string{
			"WARN closed open automatic 1m0s", "INFO open half_open automatic", "INFO half_open closed automatic",
			"WARN closed open forced_open",
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%d records: %s", len(lines), out.String())
		}
		for i, line := range lines {
			var r struct {
				Level       string        `json:"level"`
				Circuit     string        `json:"circuit"`
				From        string        `json:"from"`
				To          string        `json:"to"`
				Mode        string        `json:"mode"`
				OpenFor     time.Duration `json:"open_for"`
				LastFailure string        `json:"last_failure"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			got := r.Level + " " + r.From + " " + r.To + " " + r.Mode
			if r.OpenFor > 0 {
				got += " " + r.OpenFor.String()
			}
			if got != want[i] || r.Circuit != "s?" || (r.To == "open") != strings.Contains(r.LastFailure, "down") {
				t.Errorf("record %d: %s, want %s", i, line, want[i])
			}
		}
	})
}
