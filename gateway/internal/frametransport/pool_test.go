package frametransport

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/upstreams"
)

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
	inBubble(t, "silent addresses", func(t *testing.T) {
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
		synctest.Wait() // the backend has written all that it will
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
		ctx  context.Context
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
