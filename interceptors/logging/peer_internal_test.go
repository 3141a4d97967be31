package logging

import (
	"hash/maphash"
	"net"
	"strings"
	"sync"
	"testing"
)

func TestPeerText(t *testing.T) {
	p := peers{seed: maphash.MakeSeed()}
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 40001},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 443, Zone: "eth0"},
		&net.TCPAddr{},
		&net.TCPAddr{Port: 1},
		&net.UnixAddr{Name: "/run/app.sock", Net: "unix"},
		&net.UnixAddr{Name: "@", Net: "unix"},
	} {
		for range 2 { // made, and found again
			if got := p.text(addr); got != addr.String() {
				t.Errorf("got %q, want %q", got, addr)
			}
		}
	}
	if got := p.text(&net.UnixAddr{Name: strings.Repeat("x", 5000), Net: "unix"}); len(got) > maxName+len("…") {
		t.Errorf("%d bytes of a long address", len(got))
	}
}

// Many addresses share few places, from many goroutines.
func TestPeerTextOfManyAddresses(t *testing.T) {
	p := peers{seed: maphash.MakeSeed()}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for port := range 5000 {
				addr := &net.TCPAddr{IP: net.IPv4(10, 0, byte(port), 1), Port: port}
				if got := p.text(addr); got != addr.String() {
					t.Errorf("got %q, want %q", got, addr)
				}
			}
		})
	}
	wg.Wait()
}

func TestPeerTextAllocations(t *testing.T) {
	p := peers{seed: maphash.MakeSeed()}
	var addr net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40001}
	if got := testing.AllocsPerRun(100, func() { _ = p.text(addr) }); got > 0 {
		t.Errorf("%v allocations for an address that is known, want 0", got)
	}
}
