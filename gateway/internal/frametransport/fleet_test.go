package frametransport

import (
	"context"
	"errors"
	"net"
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

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
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
	lis      *bufconn.Listener // nil rejects connections
	hangs    bool              // attempts to connect wait
	answer   func(r *raw, f http2.Frame)
	settings []http2.Setting // of further connections
	calls    int
	conns    []*raw
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
	f.mu.Lock()
	settings := b.settings
	f.mu.Unlock()
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
	}, settings...)
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
