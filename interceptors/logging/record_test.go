package logging_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

func TestUnknownMethod(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
			env := c.Start(t, logging.New(logging.Config{}, j.option()))
			method := "/no.Such/" + strings.Repeat("é", 200) // 400 bytes
			out := env.Do(t.Context(), method, []*testpb.Request{{}})
			env.Server.GracefulStop()
			if status.Code(out.Err) != codes.Unimplemented {
				t.Errorf("the caller got %v", out.Err)
			}
			check(t, j.only(t), map[string]any{
				"level": "ERROR", logging.KeyService: "no.Such", logging.KeyMethod: "no.Such/" + strings.Repeat("é", 128) + "…", logging.KeyStatusCode: "UNIMPLEMENTED",
			})
		})
	}
}

// On a client the interceptor logs calls outside a retry, and attempts inside.
func TestAttempts(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			outside, inside := newJournal(), newJournal()
			retry := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if err := next(ctx, call); err == nil {
					return nil
				}
				return next(ctx, call)
			})
			failed := false
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				if !failed {
					failed = true
					return status.Error(codes.Unavailable, "starting")
				}
				return hauberktest.Echo(ctx, s)
			}}
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			env := c.StartWith(t, backend, logging.New(logging.Config{}, outside.option()), retry,
				logging.New(logging.Config{}, inside.option()))
			if out := env.Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
			check(t, outside.only(t), map[string]any{logging.KeyStatusCode: "OK", logging.KeyReceived: 1.0})
			if got := pluck(inside.records(t), logging.KeyStatusCode); !slices.Equal(got, []any{"UNAVAILABLE", "OK"}) {
				t.Errorf("attempts ended as %v", got)
			}
		})
	}
}

func TestStart(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		inHandler := make(chan string, 1)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			inHandler <- j.String()
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, logging.New(logging.Config{Start: true}, j.option()))
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		if got := <-inHandler; !strings.Contains(got, logging.MessageStarted) {
			t.Errorf("when the handler began the log had %q", got)
		}
		records := j.records(t)
		if got := pluck(records, "msg"); !slices.Equal(got, []any{"call started", "call ended"}) {
			t.Fatalf("logged %v", got)
		}
		check(t, records[0], map[string]any{
			logging.KeySide: c.Side.String(), logging.KeyKind: c.Kind.String(), "level": records[1]["level"],
			logging.KeyStatusCode: nil, logging.KeyDuration: nil, logging.KeySent: nil,
		})
	})
}

func TestDeadlineLeft(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		deadline := time.Now().Add(time.Hour)
		now := func() time.Time { return deadline.Add(-90 * time.Second) }
		env := c.Start(t, logging.New(logging.Config{}, j.option(), logging.WithClock(now)))
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		if out := env.Call(ctx); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		left, _ := j.only(t)[logging.KeyDeadlineLeft].(float64)
		// A server's deadline is that of the grpc-timeout header: up to one of its units
		// less, or slightly more because of the transport.
		want := float64(90 * time.Second)
		if c.Side == hauberk.ClientSide && left != want || left < want-1e9 || left > want+60e9 {
			t.Errorf("deadline_left is %v, want %v", left, want)
		}
	})
}
