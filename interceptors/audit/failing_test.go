package audit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// measured returns a measurement of an interceptor.
func measured(x *audit.Interceptor, name, label string) float64 {
	for _, m := range x.Measurements() {
		if m.Name == name && m.LabelValue == label {
			return m.Value
		}
	}
	return -1
}

// bad are sinks that do not store records.
func bad() map[string]badSink {
	block := func(ctx context.Context, _ audit.Record) error {
		<-ctx.Done()
		return ctx.Err()
	}
	exit := func(context.Context, audit.Record) error {
		runtime.Goexit()
		return nil
	}
	return map[string]badSink{
		"error":   {audit.SinkFunc(func(context.Context, audit.Record) error { return io.ErrShortWrite }), 0, "error", io.ErrShortWrite},
		"endless": {audit.SinkFunc(func(context.Context, audit.Record) error { return new(endless) }), 0, "error", hauberk.ErrEndless},
		"panic":   {audit.SinkFunc(func(context.Context, audit.Record) error { panic("sink") }), 0, "panic", audit.ErrPanic},
		"exit":    {audit.SinkFunc(exit), 0, "panic", audit.ErrPanic},
		"block":   {audit.SinkFunc(block), time.Millisecond, "timeout", audit.ErrTimeout},
		"off":     {audit.Slog(slog.New(slog.DiscardHandler), 0), 0, "error", audit.ErrDisabled},
	}
}

// endless is an error that wraps itself.
type endless struct{}

func (e *endless) Error() string { return e.Unwrap().Error() }
func (e *endless) Unwrap() error { return e }

type badSink struct {
	sink    audit.Sink
	timeout time.Duration
	cause   string // in measurements
	want    error
}

// If the record is not written, no response and no other status leaves, and the handler of a stream does not run.
func TestFailClosed(t *testing.T) {
	for name, test := range bad() {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				var causes []error
				x := audit.New(audit.Config{Timeout: test.timeout}, test.sink,
					audit.WithFailed(func(_ context.Context, _ audit.Record, err error) {
						causes = append(causes, err)
						panic("failed")
					}))
				var runs atomic.Int32
				handle := func(ctx context.Context, s hauberktest.Stream) error {
					runs.Add(1)
					return hauberktest.Echo(ctx, s)
				}
				var inside error
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					inside = next(ctx, call)
					return inside
				})
				out := c.StartWith(t, &hauberktest.Backend{Handle: handle}, outer, x).Call(t.Context())
				if status.Code(out.Err) != codes.Unavailable || hauberk.Reason(out.Err) != audit.ReasonFailed || len(out.Responses) != 0 {
					t.Errorf("%+v; want UNAVAILABLE, %s", out, audit.ReasonFailed)
				}
				if strings.Contains(out.Err.Error(), "audit:") {
					t.Errorf("the client receives the cause: %v", out.Err)
				}
				if !errors.Is(inside, audit.ErrFailed) || !errors.Is(inside, test.want) || len(causes) != 1 || !errors.Is(causes[0], test.want) {
					t.Errorf("%v, reported %v; want %v", inside, causes, test.want)
				}
				if want := int32(0); c.Kind == hauberk.Unary {
					if want = 1; runs.Load() != want {
						t.Errorf("the handler ran %d times; want %d", runs.Load(), want)
					}
				} else if runs.Load() != want {
					t.Errorf("the handler ran %d times; want %d", runs.Load(), want)
				}
				if got := measured(x, "audit_failed_total", test.cause); got != 1 {
					t.Errorf("%v records failed by %s", got, test.cause)
				}
			})
		})
	}
}

// Rejections and failures need a record too, and so does the end of a stream.
func TestEndFails(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := journal{fail: func(r audit.Record) error {
			if r.Stage == audit.StageEnd {
				return io.ErrShortWrite
			}
			return nil
		}}
		for _, fail := range []error{nil, hauberk.Reject(codes.Unauthenticated, "NO_TOKEN", "no token")} {
			var inside error
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				inside = next(ctx, call)
				return inside
			})
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if fail != nil {
					return fail
				}
				return next(ctx, call)
			})
			out := c.Start(t, outer, audit.New(audit.Config{}, &j), inner).Call(t.Context())
			if status.Code(out.Err) != codes.Unavailable || hauberk.Reason(out.Err) != audit.ReasonFailed ||
				!c.Kind.ServerStreams() && len(out.Responses) != 0 {
				t.Errorf("%+v; want UNAVAILABLE", out)
			}
			if fail != nil && !errors.Is(inside, fail) {
				t.Errorf("%v; want the rejection as a cause", inside)
			}
		}
	})
}

// With BestEffort calls go on, and what is lost is counted.
func TestBestEffort(t *testing.T) {
	for name, test := range bad() {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				x := audit.New(audit.Config{BestEffort: true, Timeout: test.timeout}, test.sink)
				if out := c.Start(t, x).Call(t.Context()); out.Err != nil {
					t.Error(out.Err)
				}
				if err := errors.Join(x.Flush(t.Context()), x.Close(t.Context()), x.Close(t.Context())); err != nil {
					t.Error(err)
				}
				if got, want := measured(x, "audit_failed_total", test.cause), float64(len(stagesOf(c.Kind))); got != want {
					t.Errorf("%v records failed by %s; want %v", got, test.cause, want)
				}
			})
		})
	}
}

// While the sink blocks, calls go on. Records without room are dropped, counted and reported; the others are
// written in their order.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		block := make(chan struct{})
		dropped := 0
		x := audit.New(audit.Config{BestEffort: true, Queue: 3}, audit.SinkFunc(func(ctx context.Context, r audit.Record) error {
			<-block
			return j.Write(ctx, r)
		}), audit.WithFailed(func(_ context.Context, _ audit.Record, err error) {
			dropped++
			if !errors.Is(err, audit.ErrDropped) {
				t.Error(err)
			}
		}))
		call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))
		for range 10 {
			if err := call(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := measured(x, "audit_queued", ""); got != 3 {
			t.Errorf("%v records wait", got)
		}
		close(block)
		if err := x.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = call(t.Context())
		if n := len(j.take()); n != 4 || measured(x, "audit_dropped_total", "") != 7 || dropped != 7 || measured(x, "audit_written_total", "") != 4 {
			t.Errorf("%d records, %v dropped, %d reported; want 4, 7 and 7", n, measured(x, "audit_dropped_total", ""), dropped)
		}
	})
}

// A sink that ignores the end of its context holds up calls no longer than Timeout, and has at most MaxWrites
// goroutines.
func TestBlockedSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		var running, most atomic.Int32
		x := audit.New(audit.Config{Timeout: time.Second, MaxWrites: 3}, audit.SinkFunc(func(context.Context, audit.Record) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-block
			return nil
		}))
		call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))
		began := time.Now()
		for range 10 {
			if err := call(t.Context()); !errors.Is(err, audit.ErrTimeout) {
				t.Errorf("%v; want ErrTimeout", err)
			}
		}
		if took := time.Since(began); took != 10*time.Second || most.Load() != 3 {
			t.Errorf("%v, %d goroutines; want 10s and 3", took, most.Load())
		}
		close(block)
		synctest.Wait()
		if err := call(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The record in slog has the members of the JSON.
func TestSlog(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	x := audit.New(audit.Config{}, audit.Slog(logger, slog.LevelWarn), audit.State("request_id", requestID))
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.PermissionDenied, "DENIED", "no")
	})
	_ = hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x, identify, reject)))(t.Context())
	for _, want := range []string{
		`"level":"WARN"`, `"msg":"audit"`, `"stage":"end"`, `"method":"hauberk.test.v1.TestService/Unary"`, `"code":"PERMISSION_DENIED"`,
		`"reason":"DENIED"`, `"who":{"subject":"alice","issuer":"idp","tenant":"blue","method":"jwt"}`, `"state":{"request_id":"id\n1`,
		`{"interceptor":"identify","verdict":"allowed"}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nwant %s", out.String(), want)
		}
	}
}
