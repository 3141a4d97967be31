package logging

import (
	"bytes"
	"context"
	"hash/maphash"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/lognames"
)

func newPeers(names Names) *peers {
	lognames.Fill(&names, OpenTelemetryNames())
	return &peers{names: &names, seed: maphash.MakeSeed()}
}

func TestPeers(t *testing.T) {
	both, one := newPeers(Names{}), newPeers(MiddlewareNames())
	for _, test := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}, "192.0.2.1 40001"},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 40001}, "192.0.2.1 40001"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}, "2001:db8::1 443"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 443, Zone: "eth0"}, "fe80::1%eth0 443"},
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, "192.0.2.1 53"},
		{&net.TCPAddr{}, ":0"},
		{&net.TCPAddr{Port: 1}, ":1"},
		{&net.UnixAddr{Name: "/run/app.sock", Net: "unix"}, "/run/app.sock"},
		{&net.UnixAddr{Name: "@", Net: "unix"}, "@"},
	} {
		for range 2 { // the second time from the cache
			if got := peerText(both, test.addr); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := one.of(test.addr).attr; got.Key != "peer.address" || got.Value.String() != test.addr.String() {
				t.Errorf("got %v, want %q", got, test.addr)
			}
		}
	}
	long := &net.UnixAddr{Name: strings.Repeat("x", 5000), Net: "unix"}
	if got := peerText(both, long); len(got) > maxName+len("…") {
		t.Errorf("%d bytes of a long address", len(got))
	}
	none := newPeers(Names{PeerAddress: lognames.Out, PeerPort: lognames.Out})
	if got := none.of(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}).attr; got.Key != "" || got.Value.Any() != nil {
		t.Errorf("without names: %v", got)
	}
}

// peerText returns the values of the attributes of an address.
func peerText(p *peers, addr net.Addr) string {
	a := p.of(addr).attr
	if a.Key != "" {
		return a.Value.String()
	}
	var list []string
	for _, a := range a.Value.Group() {
		list = append(list, a.Value.String())
	}
	return strings.Join(list, " ")
}

// Many addresses share few places, from many goroutines.
func TestManyPeers(t *testing.T) {
	p := newPeers(MiddlewareNames())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for port := range 5000 {
				addr := &net.TCPAddr{IP: net.IPv4(10, 0, byte(port), 1), Port: port}
				if got := peerText(p, addr); got != addr.String() {
					t.Errorf("got %q, want %q", got, addr)
				}
			}
		})
	}
	wg.Wait()
}

func TestPeersAllocations(t *testing.T) {
	p := newPeers(Names{})
	var addr net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}
	if got := testing.AllocsPerRun(100, func() { _ = p.of(addr) }); got > 0 {
		t.Errorf("%v allocations for an address in the cache, want 0", got)
	}
}

// A peer has a handler from its second record in a row on, which writes the record that the others write.
func TestPeerHandlers(t *testing.T) {
	addr := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }
	none := Names{PeerAddress: lognames.Out, PeerPort: lognames.Out}
	for _, test := range []struct {
		name  string
		names Names
		peers []net.Addr // of the records
		bound string     // for each of them, 1 if its handler has the peer
	}{
		{"one peer", Names{}, []net.Addr{addr(1), addr(1), addr(1)}, "011"},
		{"one attribute", MiddlewareNames(), []net.Addr{addr(1), addr(1), addr(1)}, "011"},
		{"two in one place", Names{}, []net.Addr{addr(1), addr(2), addr(1), addr(2), addr(2), addr(1), addr(2)}, "0000101"},
		{"no address of TCP", Names{}, []net.Addr{&net.UnixAddr{Name: "@"}, &net.UnixAddr{Name: "@"}}, "00"},
		{"no names", none, []net.Addr{addr(1), addr(1), addr(1)}, "000"},
		{"no peer", Names{}, []net.Addr{nil, nil, nil}, "000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			h := slog.NewJSONHandler(&out, nil).WithAttrs([]slog.Attr{slog.String("rpc.system.name", "grpc")})
			all, x := new(peerHandlers), Interceptor{peers: *newPeers(test.names)}
			got := ""
			for _, a := range test.peers {
				var peer *peerAttr
				if a != nil {
					peer = x.peers.of(a)
					peer.place = 7
				}
				with, bound := all.of(h, peer)
				got += map[bool]string{false: "0", true: "1"}[bound]
				want := written(t, h, &out, x.appendPeer(nil, nil, peer, false))
				if text := written(t, with, &out, x.appendPeer(nil, nil, peer, bound)); text != want {
					t.Errorf("%v: %s, want %s", a, text, want)
				}
			}
			if got != test.bound {
				t.Errorf("the handlers have peers as in %s, want %s", got, test.bound)
			}
		})
	}
}

// written returns a record with attributes as a handler writes it to out.
func written(t *testing.T, h slog.Handler, out *bytes.Buffer, list []slog.Attr) string {
	t.Helper()
	out.Reset()
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, MessageEnded, 0)
	r.AddAttrs(list...)
	if err := h.Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
