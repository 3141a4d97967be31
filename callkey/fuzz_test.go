package callkey_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
)

// fuzzed carries the key of a call in its context.
type fuzzed struct{}

var byContext = callkey.Func("fuzzed", func(ctx context.Context, _ *hauberk.Call) (string, bool) {
	key, ok := ctx.Value(fuzzed{}).(string)
	return key, ok
})

// callOf returns the context of a call with a key, and what it should be counted
// by: its namespace, and its name there.
func callOf(has bool, key, addr string) (ctx context.Context, id [2]string) {
	var at net.Addr = text(addr)
	id = [2]string{"name", addr}
	if ip, err := netip.ParseAddr(addr); err == nil {
		ip = ip.WithZone("")
		at, id = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 1)), host(ip)
	} else if ap, err := netip.ParseAddrPort(addr); err == nil {
		id = host(ap.Addr())
	}
	ctx = from(at)
	if has {
		ctx = context.WithValue(ctx, fuzzed{}, key)
	}
	if has && key != "" {
		id = [2]string{"key", key}
	}
	return ctx, id
}

// host identifies a host by its address, or the network of 64 bits that it has.
func host(ip netip.Addr) [2]string {
	ip = ip.Unmap().WithZone("")
	if netip.MustParsePrefix("64:ff9b::/96").Contains(ip) { // NAT64
		last := ip.As16()
		ip = netip.AddrFrom4([4]byte(last[12:]))
	}
	if ip.Is4() {
		return [2]string{"ip", ip.String()}
	}
	return [2]string{"ip", netip.PrefixFrom(ip, 64).Masked().String()}
}

// FuzzKeys looks for two calls that have the same key and should not, or the other way
// round.
func FuzzKeys(f *testing.F) {
	long := strings.Repeat("k", 64<<10)
	f.Add(true, "a:b", "192.0.2.1", true, "a", "192.0.2.1")
	f.Add(true, "192.0.2.1", "pipe", false, "", "192.0.2.1")
	f.Add(true, "a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01", "pipe", false, "", "192.0.2.1")
	f.Add(false, "", "192.0.2.1", false, "", "::ffff:192.0.2.1")
	f.Add(false, "", "192.0.2.1", false, "", "64:ff9b::192.0.2.1")
	f.Add(false, "", "192.0.2.1:80", false, "", "192.0.2.1")
	f.Add(false, "", "name:bufconn", true, "name:bufconn", "bufconn")
	f.Add(false, "", "6464:723a:6869:6a6b:6c6d:6e6f:7071:7273", false, "", "hijklmnopqrs") // as bytes, "ddr:hijkl…"
	f.Add(false, "", "", true, "", "fe80::1%eth0")
	f.Add(true, long, "", true, long+"k", "")
	f.Add(true, "{}\r\n", "", true, "{}\n", "")
	f.Fuzz(func(t *testing.T, has1 bool, key1, addr1 string, has2 bool, key2, addr2 string) {
		first, id1 := callOf(has1, key1, addr1)
		second, id2 := callOf(has2, key2, addr2)
		a, b := keyOf(first, t, byContext), keyOf(second, t, byContext)
		if got, want := a != b, id1 != id2; got != want {
			t.Errorf("%q and %q are counted apart: %t", id1, id2, got)
		}
	})
}
