package logging_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// If the chain counts bytes, the record has the bytes of both directions, also of responses
// that are written after the chain has returned.
func TestWireSizes(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		env := c.With(hauberk.Config{CountBytes: true}).Start(t, logging.New(logging.Config{Start: true}, j.option()))
		text := strings.Repeat("long and easy to compress ", 100)
		out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{Text: text}},
			grpc.UseCompressor(gzip.Name))
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		request := proto.Size(&testpb.Request{Text: text})
		response := proto.Size(&testpb.Response{Text: "echo:" + text})
		sent, received := response, request
		if c.Side == hauberk.ClientSide {
			sent, received = request, response
		}
		records := j.records(t)
		if len(records) != 2 {
			t.Fatalf("logged %v", records)
		}
		check(t, records[0], map[string]any{logging.KeySentBytes: nil, logging.KeyReceivedBytes: nil})
		check(t, records[1], map[string]any{
			"msg": "call ended", logging.KeyStatusCode: "OK", logging.KeySent: 1.0, logging.KeyReceived: 1.0,
			logging.KeySentBytes: float64(sent), logging.KeyReceivedBytes: float64(received),
		})
		for _, key := range []string{logging.KeySentCompressedBytes, logging.KeyReceivedCompressedBytes} {
			if n, ok := records[1][key].(float64); !ok || n < 10 || n > 500 {
				t.Errorf("%s is %v", key, records[1][key])
			}
		}
	})
}

// The numbers of bytes are final in each record, however the call ends, and no record is
// missing.
func TestWireSizesOfEndings(t *testing.T) {
	for name, handle := range map[string]func(ctx context.Context, s hauberktest.Stream) error{
		"status": func(context.Context, hauberktest.Stream) error { return status.Error(codes.NotFound, "no") },
		"panic":  func(context.Context, hauberktest.Stream) error { panic("no") },
		"Goexit": func(context.Context, hauberktest.Stream) error {
			runtime.Goexit()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j := newJournal()
				quiet := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
				interceptors := []hauberk.Interceptor{logging.New(logging.Config{}, j.option()), quiet}
				setup := hauberktest.Setup{Backend: &hauberktest.Backend{Handle: handle}, Kind: c.Kind}
				if c.Side == hauberk.ServerSide {
					setup.Server = hauberk.Must(hauberk.Config{CountBytes: true}.New(interceptors...))
				} else {
					setup.Server = hauberk.Must(hauberk.New(quiet))
					setup.Client = hauberk.Must(hauberk.Config{CountBytes: true}.New(interceptors...))
				}
				env := hauberktest.Start(t, setup)
				_ = env.Call(t.Context())
				env.Server.GracefulStop()
				record := j.only(t)
				key := logging.KeySentBytes
				if c.Side == hauberk.ClientSide {
					key = logging.KeyReceivedBytes
				}
				if name == "status" {
					check(t, record, map[string]any{logging.KeyStatusCode: "NOT_FOUND"})
				}
				check(t, record, map[string]any{key: 0.0})
			})
		})
	}
}

// A panic of the log's handler after the chain has returned does not end the process.
func TestWireSizesWithPanickingHandler(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		j := newJournal()
		h := panicking{j.logger().Handler(), new(atomic.Bool)}
		x := logging.New(logging.Config{}, logging.WithLogger(loggerOf(h)))
		env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.With(hauberk.Config{CountBytes: true}).Start(t, x)
		for range 2 {
			if out := env.Call(t.Context()); out.Err != nil {
				t.Error(out.Err)
			}
		}
		env.Server.GracefulStop()
		check(t, j.only(t), map[string]any{logging.KeyStatusCode: "OK"})
		if x.Dropped() != 1 {
			t.Errorf("%d records dropped, want 1", x.Dropped())
		}
	}
}
