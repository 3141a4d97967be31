package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// startSized starts a client and a server. The chain on the case's side has the interceptors and
// counts bytes.
func startSized(t *testing.T, c hauberktest.Case, backend *hauberktest.Backend, interceptors ...hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(interceptors...))
	setup := hauberktest.Setup{Kind: c.Kind, Backend: backend}
	if c.Side == hauberk.ServerSide {
		setup.Server = chain
	} else {
		setup.DialOptions = chain.DialOptions()
	}
	return hauberktest.Start(t, setup)
}

// bytesOf stops the server and returns the bytes of the method of a case.
func bytesOf(t *testing.T, env *hauberktest.Env, m *metrics.Interceptor, c hauberktest.Case) metrics.Bytes {
	t.Helper()
	env.Server.GracefulStop()
	b := count(t, m, c).Bytes
	if b == nil {
		t.Fatal("no bytes were counted")
	}
	if series := m.Series(); len(series) != 1 || *series[0].Bytes != *b {
		t.Errorf("the series are %+v, the snapshot has %+v", series, *b)
	}
	return *b
}

func TestBytes(t *testing.T) {
	text := strings.Repeat("all work and no play ", 100)
	echo := hauberktest.Outcome{}
	for _, compressed := range []bool{false, true} {
		hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
			m := metrics.New(metrics.Config{CountBytes: true})
			env := startSized(t, c, nil, m)
			var opts []grpc.CallOption
			if compressed {
				opts = append(opts, grpc.UseCompressor(gzip.Name))
			}
			requests := []*testpb.Request{{Text: text}, {Text: text}}
			if !c.Kind.ClientStreams() {
				requests = requests[:1]
			}
			if echo = env.Do(t.Context(), hauberktest.FullMethod(c.Kind), requests, opts...); echo.Err != nil {
				t.Fatal(echo.Err)
			}
			var up, down uint64
			for _, r := range requests {
				up += uint64(proto.Size(r))
			}
			for _, r := range echo.Responses {
				down += uint64(proto.Size(r))
			}
			if c.Side == hauberk.ServerSide {
				up, down = down, up
			}
			b := bytesOf(t, env, m, c)
			if b.Sent != up || b.Received != down || b.Unmeasured != 0 {
				t.Errorf("%+v, want %d sent and %d received", b, up, down)
			}
			checkCompressed(t, b, compressed)
		})
	}
}

func checkCompressed(t *testing.T, b metrics.Bytes, compressed bool) {
	t.Helper()
	switch {
	case !compressed && (b.SentCompressed != b.Sent || b.ReceivedCompressed != b.Received):
		t.Errorf("%+v; want equal sizes without compression", b)
	case compressed && (b.SentCompressed == 0 || b.SentCompressed > b.Sent/10 ||
		b.ReceivedCompressed == 0 || b.ReceivedCompressed > b.Received/10):
		t.Errorf("%+v; want at most a tenth with compression", b)
	}
}

// A call that fails or is rejected counts the bytes of its messages until then.
func TestBytesOfFailures(t *testing.T) {
	failing := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		return errors.Join(readAll(s), status.Error(codes.NotFound, "no"))
	}}
	up := uint64(proto.Size(&testpb.Request{Text: "hello"}))
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"failed":   {passing},
		"rejected": {reject(codes.Aborted, "BUSY")},
		"panic":    {guard{status.Error(codes.Internal, "recovered")}, unwinding["panic after"]},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				m := metrics.New(metrics.Config{CountBytes: true})
				env := startSized(t, c, failing, append([]hauberk.Interceptor{m}, interceptors...)...)
				if out := env.Call(t.Context()); out.Err == nil {
					t.Fatal("the call was OK")
				}
				b := bytesOf(t, env, m, c)
				want := up
				if name == "rejected" {
					want = 0
				}
				if b.Sent+b.Received != want || b.Unmeasured != 0 {
					t.Errorf("%+v, want %d", b, want)
				}
			})
		})
	}
}

// Without hauberk.Config.CountBytes calls count as unmeasured, except calls that a client did not send.
func TestUnmeasured(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		m, without := metrics.New(metrics.Config{CountBytes: true}), metrics.New(metrics.Config{})
		rejected := false
		env := c.Start(t, m, without, hauberk.When(func(*hauberk.Call) bool { return rejected }, reject(codes.Aborted, "BUSY")))
		if out := env.Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		rejected = true
		_ = env.Call(t.Context())
		want := metrics.Bytes{Unmeasured: 1}
		if c.Side == hauberk.ServerSide {
			want.Unmeasured = 2
		}
		if b := bytesOf(t, env, m, c); b != want {
			t.Errorf("%+v, want %+v", b, want)
		}
		if b := count(t, without, c).Bytes; b != nil {
			t.Errorf("%+v without Config.CountBytes", b)
		}
	})
}

// An interceptor inside retries counts the bytes of each attempt, and one outside those of the
// last attempt.
func TestBytesOfAttempts(t *testing.T) {
	up, down := uint64(proto.Size(&testpb.Request{Text: "hello"})), uint64(proto.Size(&testpb.Response{Text: "echo:hello"}))
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			calls, attempts := metrics.New(metrics.Config{CountBytes: true}), metrics.New(metrics.Config{CountBytes: true})
			env := startSized(t, c, flaky(), calls, retries, attempts)
			if out := env.Call(t.Context()); out.Err != nil {
				t.Fatal(out.Err)
			}
			want := metrics.Bytes{Sent: up, SentCompressed: up, Received: down, ReceivedCompressed: down}
			if b := bytesOf(t, env, calls, c); b != want {
				t.Errorf("calls: %+v, want %+v", b, want)
			}
			want.Sent, want.SentCompressed = 3*up, 3*up
			if b := bytesOf(t, env, attempts, c); b != want {
				t.Errorf("attempts: %+v, want %+v", b, want)
			}
		})
	}
}
