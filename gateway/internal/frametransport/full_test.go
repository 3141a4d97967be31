package frametransport

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// fullUpstream is an upstream with a limit of one stream for each connection. It answers a call
// when end is called.
type fullUpstream struct {
	mu      sync.Mutex // guards the following
	begun   []string   // the methods of the calls, in order
	running map[string]func()
}

func startFull(t *testing.T) (*fleet, *fullUpstream) {
	t.Helper()
	f := startFleet(t, "passthrough:///"+first, Config{}, first)
	up := &fullUpstream{running: make(map[string]func())}
	f.set(first, func(b *backend) {
		b.answer = up.answer
		b.settings = []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}
	})
	return f, up
}

func (u *fullUpstream) answer(r *raw, frame http2.Frame) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m, ok := frame.(*http2.MetaHeadersFrame); ok {
		id, path := m.StreamID, m.PseudoValue("path")
		u.begun = append(u.begun, path)
		u.running[path] = func() {
			_ = r.headers(id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
		}
	}
}

func (u *fullUpstream) end(method string) {
	u.mu.Lock()
	end := u.running[method]
	delete(u.running, method)
	u.mu.Unlock()
	end()
	synctest.Wait()
}

// callOf makes a call of a method and returns its code.
func (f *fleet) callOf(ctx context.Context, method string) codes.Code {
	out, err := f.up.Open(ctx, transport.Request{Method: method})
	if err != nil {
		return statusOfError(ctx, err).Code
	}
	defer out.Close()
	_ = out.CloseSend()
	var msg transport.Message
	for out.Recv(&msg) == nil {
		msg.Free()
	}
	end, _ := out.End()
	return end.Code
}

// Calls that wait because all connections are full take the first stream that becomes free on any
// of them, in their order, and those of a connection that replaces a lost one.
func TestFullConnectionsServeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, up := startFull(t)
		defer f.stop()
		name := func(i int) string { return fmt.Sprintf("/shop.v1.Shop/Buy%d", i) }
		const waiting = 40
		var calls sync.WaitGroup
		results := make([]codes.Code, maxConns+waiting)
		for i := range results {
			calls.Go(func() { results[i] = f.callOf(t.Context(), name(i)) })
			synctest.Wait()
		}
		if len(up.begun) != maxConns {
			t.Fatalf("%d calls have begun, want %d", len(up.begun), maxConns)
		}
		for i := range waiting / 2 {
			up.end(name((i*7+5)%maxConns + i/maxConns*maxConns)) // one of those that run, on any connection
			if n := len(up.begun); n != maxConns+i+1 || up.begun[n-1] != name(n-1) {
				t.Fatalf("%d calls have begun, the last one is %s", n, up.begun[n-1])
			}
		}
		// A lost connection is replaced for the calls that wait.
		f.mu.Lock()
		lost := f.backends[first].conns[3]
		f.mu.Unlock()
		_ = lost.conn.Close()
		synctest.Wait()
		if n := len(up.begun); n != maxConns+waiting/2+1 || up.begun[n-1] != name(n-1) {
			t.Fatalf("%d calls have begun after the loss of a connection: %v", n, up.begun[n-1])
		}
		for i := range results {
			up.mu.Lock()
			_, running := up.running[name(i)]
			up.mu.Unlock()
			if running {
				up.end(name(i))
			}
		}
		calls.Wait()
		for i, begun := range up.begun {
			if begun != name(i) {
				t.Errorf("call %d was %s", i, begun)
			}
		}
		failed := 0
		for _, code := range results {
			if code != codes.OK {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d calls failed, want that of the lost connection", failed)
		}
	})
}

// Calls that wait end with their contexts, and with the upstream.
func TestFullConnectionsAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, up := startFull(t)
		var calls sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan codes.Code, maxConns+20)
		for i := range maxConns + 20 {
			ctx := ctx
			if i%2 == 0 {
				ctx = t.Context()
			}
			calls.Go(func() { results <- f.callOf(ctx, fmt.Sprint("/shop.v1.Shop/Buy", i)) })
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		if len(results) != maxConns/2+10 || len(up.begun) != maxConns+8 {
			t.Errorf("%d calls ended and %d have begun", len(results), len(up.begun))
		}
		f.stop()
		calls.Wait()
		close(results)
		n := make(map[codes.Code]int)
		for code := range results {
			n[code]++
		}
		if n[codes.Canceled] != maxConns/2+10 || n[codes.Unavailable] != maxConns/2+10 {
			t.Errorf("%v", n)
		}
	})
}
