package frametransport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/upstreams"
)

// fleet is an upstream with several addresses, in memory.
type fleet struct {
	up     *Upstream
	served sync.WaitGroup

	mu       sync.Mutex // guards the following
	backends map[string]*backend
	dials    []string
}

// backend is what is at one address.
type backend struct {
	lis    *bufconn.Listener // nil rejects connections
	hangs  bool              // attempts to connect wait
	answer func(r *raw, f http2.Frame)
	calls  int
	conns  []*raw
}

func startFleet(t *testing.T, target string, config Config, addresses ...string) *fleet {
	t.Helper()
	f := &fleet{backends: make(map[string]*backend)}
	for _, a := range addresses {
		f.backends[a] = &backend{answer: answerOK}
		f.listen(a)
	}
	var err error
	if f.up, err = NewUpstream(target, config, f.dial); err != nil {
		t.Fatal(err)
	}
	return f
}

func answerOK(r *raw, f http2.Frame) {
	if f, ok := f.(*http2.MetaHeadersFrame); ok {
		_ = r.headers(f.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
	}
}

var errRejected = errors.New("connection rejected")

func (f *fleet) dial(ctx context.Context, _, address string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, address)
	b := f.backends[address]
	lis, hangs := b.lis, b.hangs
	f.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case lis == nil:
		return nil, errRejected
	}
	return lis.DialContext(ctx)
}

func (f *fleet) listen(address string) {
	lis := bufconn.Listen(1 << 16)
	f.mu.Lock()
	b := f.backends[address]
	b.lis = lis
	f.mu.Unlock()
	f.served.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			f.served.Go(func() { f.serve(b, conn) })
		}
	})
}

func (f *fleet) serve(b *backend, conn net.Conn) {
	serveRaw(conn, func(r *raw, frame http2.Frame) {
		f.mu.Lock()
		if !slices.Contains(b.conns, r) {
			b.conns = append(b.conns, r)
		}
		if m, ok := frame.(*http2.MetaHeadersFrame); ok && m.PseudoValue("path") != healthpb.Health_Watch_FullMethodName {
			b.calls++
		}
		answer := b.answer
		f.mu.Unlock()
		answer(r, frame)
	})
}

// down closes the listener of a backend and cuts its connections.
func (f *fleet) down(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.backends[address]
	if b.lis != nil {
		_ = b.lis.Close()
	}
	b.lis = nil
	f.cut(b)
}

func (f *fleet) cut(b *backend) {
	for _, r := range b.conns {
		_ = r.conn.Close()
	}
	b.conns = nil
}

func (f *fleet) set(address string, change func(b *backend)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.backends[address])
}

// calls returns the number of calls of each address since the last time.
func (f *fleet) calls(addresses ...string) (n []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range addresses {
		n = append(n, f.backends[a].calls)
		f.backends[a].calls = 0
	}
	return n
}

// dialled returns the attempts since the last time.
func (f *fleet) dialled() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.dials, " ")
	f.dials = nil
	return all
}

// call makes a call and returns its status.
func (f *fleet) call(ctx context.Context) (codes.Code, string) {
	out, err := f.up.Open(ctx, transport.Request{Method: "/shop.v1.Shop/Buy"})
	if err != nil {
		return status.Code(err), status.Convert(err).Message()
	}
	defer out.Close()
	_ = out.CloseSend()
	out.Header()
	var msg transport.Message
	for out.Recv(&msg) == nil {
		msg.Free()
	}
	end, _ := out.End()
	return end.Code, end.Message
}

func (f *fleet) stop() {
	_ = f.up.Close()
	f.mu.Lock()
	for _, b := range f.backends {
		if b.lis != nil {
			_ = b.lis.Close()
		}
		f.cut(b)
	}
	f.mu.Unlock()
	f.served.Wait()
}

// want makes calls and compares their code.
func (f *fleet) want(t *testing.T, n int, want codes.Code) {
	t.Helper()
	for range n {
		if code, message := f.call(t.Context()); code != want {
			t.Errorf("%s: %s, want %s", code, message, want)
		}
	}
}

func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

const (
	first  = "10.0.0.1:1"
	second = "10.0.0.2:1"
	both   = "ipv4:" + first + "," + second
)

// pass lets time pass, and waits for what happens meanwhile.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Calls use the first address that can be connected to, and go on with the next one when it
// fails.
func TestPickFirst(t *testing.T) {
	inBubble(t, "rejected", func(t *testing.T) {
		f := startFleet(t, both, Config{}, first, second)
		defer f.stop()
		f.want(t, 3, codes.OK)
		if n := f.calls(first, second); n[0] != 3 || f.dialled() != first {
			t.Errorf("%v calls, want 3 at the first address", n)
		}
		f.down(first)
		synctest.Wait()
		start := time.Now()
		f.want(t, 3, codes.OK)
		if n := f.calls(first, second); n[1] != 3 || time.Since(start) > 0 {
			t.Errorf("%v calls, want 3 at the second address at once", n)
		}
		f.down(second)
		synctest.Wait()
		if code, message := f.call(t.Context()); code != codes.Unavailable || !strings.Contains(message, "rejected") {
			t.Errorf("%s, %s", code, message)
		}
		f.listen(first)
		pass(time.Second)
		f.want(t, 1, codes.OK)
	})
	inBubble(t, "silent", func(t *testing.T) {
		f := startFleet(t, both, Config{}, first, second)
		defer f.stop()
		f.set(first, func(b *backend) { b.hangs = true })
		start := time.Now()
		f.want(t, 1, codes.OK)
		if took := time.Since(start); took != 250*time.Millisecond {
			t.Errorf("the second address was used after %v, want 250ms", took)
		}
	})
	inBubble(t, "no address", func(t *testing.T) {
		f := startFleet(t, both, Config{}, first, second)
		defer f.stop()
		for _, a := range []string{first, second} {
			f.set(a, func(b *backend) { b.hangs = true })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if code, _ := f.call(ctx); code != codes.DeadlineExceeded {
			t.Errorf("%s, want that of the deadline", code)
		}
		pass(time.Second)
		if code, _ := f.call(t.Context()); code != codes.Unavailable {
			t.Errorf("%s after the timeout of the attempts", code)
		}
	})
}

// Calls use all addresses in turn, without those that fail.
func TestRoundRobin(t *testing.T) {
	inBubble(t, "turns", func(t *testing.T) {
		config := Config{Connections: transport.Connections{Policy: string(upstreams.RoundRobin)}}
		f := startFleet(t, both, config, first, second)
		defer f.stop()
		f.want(t, 1, codes.OK)
		synctest.Wait()
		f.calls(first, second)
		f.want(t, 10, codes.OK)
		if n := f.calls(first, second); n[0] != 5 || n[1] != 5 {
			t.Errorf("%v calls, want 5 at each address", n)
		}
		f.down(first)
		synctest.Wait()
		f.want(t, 10, codes.OK)
		if n := f.calls(first, second); n[1] != 10 {
			t.Errorf("%v calls, want all at the second address", n)
		}
		f.listen(first)
		pass(time.Second)
		f.want(t, 1, codes.OK)
		synctest.Wait()
		f.calls(first, second)
		f.want(t, 10, codes.OK)
		if n := f.calls(first, second); n[0] != 5 {
			t.Errorf("%v calls, want 5 at the first address again", n)
		}
	})
}

// Each address has further connections when its limit of streams is reached.
func TestFullConnections(t *testing.T) {
	inBubble(t, "full", func(t *testing.T) {
		f := startFleet(t, "passthrough:///"+first, Config{}, first)
		defer f.stop()
		var limited sync.Map
		f.set(first, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if _, done := limited.LoadOrStore(r, true); !done {
					_ = r.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
				}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		warm := func() { calls.Go(func() { _, _ = f.call(ctx) }) }
		warm()
		synctest.Wait()
		for range 2*maxConns + 10 {
			warm()
			synctest.Wait()
		}
		if n := f.calls(first); n[0] != 2*maxConns {
			t.Errorf("%v calls, want 2 on each of %d connections", n, maxConns)
		}
		cancel()
		calls.Wait()
	})
}

// A name is resolved again after a failure, but not within 30 s. Addresses that are new are
// used, and the connections of others end.
func TestNamesAreResolvedAgain(t *testing.T) {
	inBubble(t, "names", func(t *testing.T) {
		var mu sync.Mutex
		lookups, ips := 0, []netip.Addr{}
		fails := errors.New("no such host")
		config := Config{Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			lookups++
			return ips, fails
		}}
		resolveTo := func(err error, to ...string) {
			mu.Lock()
			defer mu.Unlock()
			ips, fails = nil, err
			for _, ip := range to {
				ips = append(ips, netip.MustParseAddr(ip))
			}
		}
		f := startFleet(t, "dns:///shop:1", config, first, second)
		defer f.stop()
		if code, message := f.call(t.Context()); code != codes.Unavailable || !strings.Contains(message, "no such host") {
			t.Errorf("%s, %s", code, message)
		}
		resolveTo(nil, "10.0.0.1")
		pass(time.Second)
		f.want(t, 2, codes.OK)
		resolveTo(nil, "10.0.0.2")
		f.down(first)
		synctest.Wait()
		f.want(t, 1, codes.Unavailable)
		pass(29 * time.Second)
		f.want(t, 1, codes.Unavailable) // begins the resolution a second later
		pass(time.Second)
		f.want(t, 2, codes.OK)
		if n := f.calls(second); n[0] != 2 {
			t.Errorf("%v calls at the new address, want 2", n)
		}
		// The connection to the second address is closed when the name does not have it.
		f.listen(first)
		resolveTo(nil, "10.0.0.1")
		f.set(second, func(b *backend) { _ = b.conns[0].WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) })
		pass(30 * time.Second)
		f.want(t, 1, codes.OK)
		synctest.Wait()
		f.want(t, 1, codes.OK)
		if n := f.calls(first); n[0] == 0 {
			t.Error("no call at the address after the second change")
		}
		mu.Lock()
		defer mu.Unlock()
		if lookups != 4 {
			t.Errorf("%d lookups, want 4", lookups)
		}
	})
}

// With WaitForReady, calls wait for a connection, and not longer than that.
func TestWaitForReady(t *testing.T) {
	inBubble(t, "waits", func(t *testing.T) {
		config := Config{Connections: transport.Connections{WaitForReady: 2 * time.Second}}
		f := startFleet(t, "passthrough:///"+first, config, first)
		defer f.stop()
		f.down(first)
		start := time.Now()
		f.want(t, 1, codes.Unavailable)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the call waited %v, want 2s", took)
		}
		go func() {
			<-time.After(time.Second)
			f.listen(first)
		}()
		f.want(t, 1, codes.OK)
		f.down(first)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if code, _ := f.call(ctx); code != codes.DeadlineExceeded && code != codes.Unavailable {
			t.Error(code)
		}
	})
}

// An address is not used for some time after consecutive transport errors.
func TestEjection(t *testing.T) {
	inBubble(t, "ejected", func(t *testing.T) {
		config := Config{Connections: transport.Connections{EjectAfter: 3, EjectTime: time.Minute}}
		f := startFleet(t, both, config, first, second)
		defer f.stop()
		f.set(first, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if frame, ok := frame.(*http2.MetaHeadersFrame); ok {
					_ = r.WriteRSTStream(frame.StreamID, http2.ErrCodeInternal)
				}
			}
		})
		f.want(t, 3, codes.Internal)
		f.want(t, 2, codes.OK)
		pass(time.Minute)
		f.down(second)
		synctest.Wait()
		f.want(t, 1, codes.Internal)
		f.set(first, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if frame, ok := frame.(*http2.MetaHeadersFrame); ok {
					_ = r.WriteRSTStream(frame.StreamID, http2.ErrCodeCancel)
				}
			}
		})
		f.want(t, 5, codes.Canceled) // no error of the transport
	})
}

// What is an error of the transport.
func TestTransportError(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	reset := func(code http2.ErrCode, remote bool) error {
		return &failure{h2.ResetError{Code: code, Remote: remote}}
	}
	tests := []struct {
		name string
		ctx  context.Context //nolint:containedctx // of a test case
		err  error
		want bool
	}{
		{"lost", t.Context(), h2.ErrLost, true},
		{"lost after the end of the call", over, h2.ErrLost, false},
		{"closed here", t.Context(), h2.ErrClosed, false},
		{"not processed", t.Context(), h2.ErrUnprocessed, false},
		{"rejected", t.Context(), reset(http2.ErrCodeRefusedStream, true), false},
		{"cancelled", t.Context(), reset(http2.ErrCodeCancel, true), false},
		{"overload", t.Context(), reset(http2.ErrCodeEnhanceYourCalm, true), false},
		{"broken", t.Context(), reset(http2.ErrCodeProtocol, false), true},
		{"a message above the limit", t.Context(), status.Error(codes.ResourceExhausted, "x"), false},
	}
	for _, tt := range tests {
		if got := transportError(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// healthOf answers Watch with statuses.
func healthOf(statuses <-chan healthpb.HealthCheckResponse_ServingStatus) func(r *raw, f http2.Frame) {
	return func(r *raw, frame http2.Frame) {
		f, ok := frame.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		if f.PseudoValue("path") != healthpb.Health_Watch_FullMethodName {
			answerOK(r, frame)
			return
		}
		id := f.StreamID
		_ = r.headers(id, false, ":status", "200", "content-type", "application/grpc")
		go func() {
			for s := range statuses {
				data, _ := proto.Marshal(&healthpb.HealthCheckResponse{Status: s})
				r.mu.Lock()
				_ = r.WriteData(id, false, append([]byte{0, 0, 0, 0, byte(len(data))}, data...))
				r.mu.Unlock()
			}
			_ = r.headers(id, true, "grpc-status", "14", "grpc-message", "gone")
		}()
	}
}

// Calls use addresses whose health check reports SERVING, or that have no health checks.
func TestHealthChecks(t *testing.T) {
	config := Config{MessageSize: 1000, Connections: transport.Connections{HealthCheck: true, HealthService: "shop"}}
	inBubble(t, "watched", func(t *testing.T) {
		f := startFleet(t, both, config, first, second)
		defer f.stop()
		statuses := make(chan healthpb.HealthCheckResponse_ServingStatus)
		f.set(first, func(b *backend) { b.answer = healthOf(statuses) })
		f.set(second, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if m, ok := frame.(*http2.MetaHeadersFrame); ok && m.PseudoValue("path") == healthpb.Health_Watch_FullMethodName {
					_ = r.headers(m.StreamID, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
					return
				}
				answerOK(r, frame)
			}
		})
		go func() { statuses <- healthpb.HealthCheckResponse_SERVING }()
		f.want(t, 2, codes.OK)
		if n := f.calls(first, second); n[0] != 2 {
			t.Errorf("%v calls, want 2 at the first address", n)
		}
		statuses <- healthpb.HealthCheckResponse_NOT_SERVING
		synctest.Wait()
		f.want(t, 2, codes.OK)
		if n := f.calls(first, second); n[1] != 2 {
			t.Errorf("%v calls, want 2 at the address without health checks", n)
		}
		f.down(second)
		synctest.Wait()
		if code, message := f.call(t.Context()); code != codes.Unavailable {
			t.Errorf("%s, %s", code, message)
		}
		statuses <- healthpb.HealthCheckResponse_SERVING
		synctest.Wait()
		f.want(t, 1, codes.OK)
		close(statuses)
		synctest.Wait()
		if code, message := f.call(t.Context()); code != codes.Unavailable {
			t.Errorf("%s, %s", code, message)
		}
	})
	inBubble(t, "malformed", func(t *testing.T) {
		f := startFleet(t, "passthrough:///"+first, config, first)
		defer f.stop()
		f.set(first, func(b *backend) {
			b.answer = func(r *raw, frame http2.Frame) {
				if m, ok := frame.(*http2.MetaHeadersFrame); ok {
					_ = r.headers(m.StreamID, false, ":status", "200", "content-type", "application/grpc")
					_ = r.WriteData(m.StreamID, false, []byte{0, 0, 0, 0, 1, 0xff})
				}
			}
		})
		if code, message := f.call(t.Context()); code != codes.Unavailable || !strings.Contains(message, "malformed") {
			t.Errorf("%s, %s", code, message)
		}
	})
}
