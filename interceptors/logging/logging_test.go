package logging_test

import (
	"context"
	"errors"
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

func TestRecord(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, clock := newJournal(), hauberktest.NewClock()
		slow := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			clock.Advance(1500 * time.Microsecond)
			return err
		})
		config := logging.Config{ClientPeer: true}
		env := c.Start(t, logging.New(config, j.option(), logging.WithClock(clock.Now)), slow)
		if out := env.Call(t.Context(), "one", "two"); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()

		level, requests, responses := "INFO", 1.0, 1.0
		if c.Kind.ClientStreams() {
			requests = 2
		}
		if c.Kind == hauberk.Bidi {
			responses = 2
		}
		sent, received := responses, requests
		if c.Side == hauberk.ClientSide {
			level, sent, received = "DEBUG", requests, responses
		}
		method := hauberktest.FullMethod(c.Kind)
		check(t, j.only(t), map[string]any{
			"time": "2026-01-01T00:00:00.0015Z", "level": level, "msg": "call ended",
			logging.KeySide: c.Side.String(), logging.KeyService: "hauberk.test.v1.TestService",
			logging.KeyMethod: strings.TrimPrefix(method, "/"), logging.KeyKind: c.Kind.String(),
			logging.KeyPeerAddress: "bufconn", logging.KeyStatusCode: "OK", logging.KeyError: nil, logging.KeyReason: nil, logging.KeyDuration: 1.5e6,
			logging.KeySent: sent, logging.KeyReceived: received, logging.KeyDeadlineLeft: nil, logging.KeyDecisions: nil, logging.KeyFieldsDropped: nil,
		})
	})
}

// ending is a way in which a call ends, and its record.
type ending struct {
	name        string
	handle      func(ctx context.Context, s hauberktest.Stream) error
	interceptor hauberk.Func // inside
	wire        codes.Code
	code        string
	texts       []string // in the error text, on a server
	reason      any
}

var errSentinel = errors.New("limit: used up")

var endings = []ending{
	{
		name: "status", wire: codes.NotFound, code: "NOT_FOUND", texts: []string{"no such cart"},
		handle: func(context.Context, hauberktest.Stream) error { return status.Error(codes.NotFound, "no such cart") },
	},
	{
		name: "rejected by an inner interceptor", wire: codes.ResourceExhausted, code: "RESOURCE_EXHAUSTED",
		texts: []string{"too many", "limit: used up"}, reason: "RATE_LIMITED",
		interceptor: func(context.Context, *hauberk.Call, hauberk.Next) error {
			return &hauberk.Rejection{Code: codes.ResourceExhausted, Reason: "RATE_LIMITED", Message: "too many", Cause: errSentinel}
		},
	},
	{
		name: "neither answered nor passed on", wire: codes.Internal, code: "INTERNAL",
		interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			if call.Kind().ServerStreams() {
				return status.Error(codes.Internal, "an empty stream is an answer")
			}
			return nil
		},
	},
	{
		name: "answered by an inner interceptor", wire: codes.OK, code: "OK",
		interceptor: func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			return call.Reply(&testpb.Response{Text: "from memory"})
		},
	},
	{
		name: "failed hook", wire: codes.DataLoss, code: "DATA_LOSS", texts: []string{"bad checksum"},
		interceptor: func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(any, func(any) error) error { return status.Error(codes.DataLoss, "bad checksum") })
			return next(ctx, call)
		},
	},
}

func TestEndings(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) { testEnding(t, c, e) })
		})
	}
}

func testEnding(t *testing.T, c hauberktest.Case, e ending) {
	t.Helper()
	j := newJournal()
	interceptors := []hauberk.Interceptor{logging.New(logging.Config{}, j.option())}
	if e.interceptor != nil {
		interceptors = append(interceptors, e.interceptor)
	}
	env := c.StartWith(t, &hauberktest.Backend{Handle: e.handle}, interceptors...)
	if got := status.Code(env.Call(t.Context()).Err); got != e.wire {
		t.Errorf("the caller got %s, want %s", got, e.wire)
	}
	env.Server.GracefulStop()
	record := j.only(t)
	check(t, record, map[string]any{"msg": "call ended", logging.KeyStatusCode: e.code, logging.KeyReason: e.reason})
	text, _ := record[logging.KeyError].(string)
	if c.Side == hauberk.ClientSide && text != "" {
		t.Errorf("a client's record has the error text %q", text)
	}
	for _, want := range e.texts {
		if c.Side == hauberk.ServerSide && !strings.Contains(text, want) {
			t.Errorf("error text %q, want %q in it", text, want)
		}
	}
}

// The text of an error without a status, and the text around a status, are logged. The
// client does not receive them.
func TestHiddenErrors(t *testing.T) {
	for _, kind := range kinds {
		for name, err := range map[string]error{
			"plain":   errors.New("dial db-7: rejected"),
			"wrapped": wrap(status.Error(codes.Unavailable, "try later"), "dial db-7: rejected"),
		} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				j := newJournal()
				c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return err }}
				env := c.StartWith(t, backend, logging.New(logging.Config{}, j.option()))
				out := env.Call(t.Context())
				env.Server.GracefulStop()
				if out.Err == nil || strings.Contains(out.Err.Error(), "db-7") {
					t.Errorf("the client received %v", out.Err)
				}
				if text, _ := j.only(t)[logging.KeyError].(string); !strings.Contains(text, "dial db-7: rejected") {
					t.Errorf("error text %q", text)
				}
			})
		}
	}
}

func TestClientErrors(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return hauberk.Reject(codes.Aborted, "LOST_RACE", "try again")
	}}, logging.New(logging.Config{ClientErrors: true}, j.option()))
	_ = env.Call(t.Context())
	check(t, j.only(t), map[string]any{
		logging.KeyError: "try again", logging.KeyReason: "LOST_RACE", logging.KeyPeerAddress: nil,
	})
}

// A call that an outer interceptor rejects has no record.
func TestRejectedOutside(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.PermissionDenied, "NO", "no")
		})
		env := c.Start(t, reject, logging.New(logging.Config{}, j.option()))
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		if got := j.records(t); len(got) > 0 {
			t.Errorf("logged %v", got)
		}
	})
}

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func wrap(err error, text string) error { return errors.Join(errors.New(text), err) }

func pluck(records []map[string]any, key string) []any {
	var values []any
	for _, r := range records {
		values = append(values, r[key])
	}
	return values
}
