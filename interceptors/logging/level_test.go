package logging_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

const (
	debug = slog.LevelDebug
	info  = slog.LevelInfo
	warn  = slog.LevelWarn
	fault = slog.LevelError
)

func TestDefaultLevel(t *testing.T) {
	for _, test := range []struct {
		code           codes.Code
		server, client slog.Level
	}{
		{codes.OK, info, debug},
		{codes.Canceled, info, debug},
		{codes.Unknown, fault, info},
		{codes.InvalidArgument, info, debug},
		{codes.DeadlineExceeded, warn, info},
		{codes.NotFound, info, debug},
		{codes.AlreadyExists, info, debug},
		{codes.PermissionDenied, warn, info},
		{codes.ResourceExhausted, warn, debug},
		{codes.FailedPrecondition, warn, debug},
		{codes.Aborted, warn, debug},
		{codes.OutOfRange, warn, debug},
		{codes.Unimplemented, fault, warn},
		{codes.Internal, fault, warn},
		{codes.Unavailable, warn, warn},
		{codes.DataLoss, fault, warn},
		{codes.Unauthenticated, info, info},
		{99, fault, warn},
	} {
		if got := logging.DefaultLevel(hauberk.ServerSide, test.code); got != test.server {
			t.Errorf("%s on a server: %s, want %s", test.code, got, test.server)
		}
		if got := logging.DefaultLevel(hauberk.ClientSide, test.code); got != test.client {
			t.Errorf("%s on a client: %s, want %s", test.code, got, test.client)
		}
	}
}

// levels returns a level for one code.
func levels(code codes.Code) map[codes.Code]slog.Level {
	return map[codes.Code]slog.Level{code: slog.LevelError + 1}
}

func TestLevelOfCalls(t *testing.T) {
	byMethod := logging.WithLevel(func(call *hauberk.Call, code codes.Code) slog.Level {
		if call.Kind() == hauberk.Bidi {
			return slog.LevelDebug - 1
		}
		return logging.DefaultLevel(call.Side(), code)
	})
	for _, test := range []struct {
		name   string
		config logging.Config
		code   codes.Code
		kind   hauberk.Kind
		want   string
	}{
		{"default", logging.Config{}, codes.Internal, hauberk.Unary, "ERROR"},
		{"named code", logging.Config{Levels: levels(codes.NotFound)}, codes.NotFound, hauberk.Unary, "ERROR+1"},
		{"another code", logging.Config{Levels: levels(codes.NotFound)}, codes.Aborted, hauberk.Unary, "WARN"},
		{"function", logging.Config{}, codes.Aborted, hauberk.Bidi, "DEBUG-1"},
		{"named before function", logging.Config{Levels: levels(codes.Aborted)}, codes.Aborted, hauberk.Bidi, "ERROR+1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: test.kind}
			env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				return status.Error(test.code, "")
			}}, logging.New(test.config, j.option(), byMethod))
			_ = env.Call(t.Context())
			env.Server.GracefulStop()
			check(t, j.only(t), map[string]any{"level": test.want, logging.KeyStatusCode: codeName(test.code)})
		})
	}
}

// asking is a disabled handler that counts the calls of Enabled.
type asking struct {
	slog.Handler

	asked int
}

func (a *asking) Enabled(context.Context, slog.Level) bool {
	a.asked++
	return false
}

func (a *asking) Handle(context.Context, slog.Record) error { panic("not enabled") }

func TestDisabled(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		h := &asking{}
		env := c.Start(t, logging.New(logging.Config{}, logging.WithLogger(slog.New(h))))
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		if h.asked != 1 {
			t.Errorf("asked %d times, want once", h.asked)
		}
	})
}

func TestDefaultLogger(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := logging.New(logging.Config{}) // before the default is set
	before := slog.Default()
	defer slog.SetDefault(before)
	j := newJournal()
	slog.SetDefault(j.logger())
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.Start(t, x)
	_ = env.Call(t.Context())
	env.Server.GracefulStop()
	check(t, j.only(t), map[string]any{logging.KeyStatusCode: "OK"})
}
