package target

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tcp(addresses ...string) (all []Address) {
	for _, a := range addresses {
		all = append(all, Address{"tcp", a})
	}
	return all
}

func TestParse(t *testing.T) {
	tests := []struct {
		target string
		want   Target
	}{
		{"127.0.0.1:50051", Target{Authority: "127.0.0.1:50051", Addresses: tcp("127.0.0.1:50051")}},
		{"[::1]:50051", Target{Authority: "[::1]:50051", Addresses: tcp("[::1]:50051")}},
		{"shop:50051", Target{Authority: "shop:50051", Host: "shop", Port: "50051"}},
		{"shop:https", Target{Authority: "shop:https", Host: "shop", Port: "https"}},
		{"dns:///shop:50051", Target{Authority: "shop:50051", Host: "shop", Port: "50051"}},
		{"dns:shop:50051", Target{Authority: "shop:50051", Host: "shop", Port: "50051"}},
		{"dns:///shop", Target{Authority: "shop:443", Host: "shop", Port: "443"}},
		{"dns:///10.0.0.1", Target{Authority: "10.0.0.1:443", Addresses: tcp("10.0.0.1:443")}},
		{"dns:///[::1]", Target{Authority: "[::1]:443", Addresses: tcp("[::1]:443")}},
		{"dns://10.0.0.2/shop:1", Target{Authority: "shop:1", Host: "shop", Port: "1", Server: "10.0.0.2:53"}},
		{"dns://[::1]:5353/shop:1", Target{Authority: "shop:1", Host: "shop", Port: "1", Server: "[::1]:5353"}},
		{"passthrough:///any", Target{Authority: "any", Addresses: tcp("any")}},
		{"ipv4:10.0.0.1:1,10.0.0.2", Target{Authority: "10.0.0.1:1", Addresses: tcp("10.0.0.1:1", "10.0.0.2:443")}},
		{"ipv6:[::1]:1,[::2],::3", Target{Authority: "[::1]:1", Addresses: tcp("[::1]:1", "[::2]:443", "[::3]:443")}},
		{"unix:run/shop.sock", Target{Authority: "localhost", Addresses: []Address{{"unix", "run/shop.sock"}}}},
		{"unix:/run/shop.sock", Target{Authority: "localhost", Addresses: []Address{{"unix", "/run/shop.sock"}}}},
		{"unix:///run/shop.sock", Target{Authority: "localhost", Addresses: []Address{{"unix", "/run/shop.sock"}}}},
		{"unix-abstract:shop", Target{Authority: "localhost", Addresses: []Address{{"unix", "@shop"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.target, func(t *testing.T) {
			got, err := Parse(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseWrong(t *testing.T) {
	tests := []struct{ target, want string }{
		{"", "not an address"},
		{"shop", "not an address"},
		{":1", "not an address"},
		{"shop:0", "not an address"},
		{"shop:70000", "not an address"},
		{"http://shop:1", `"http" is not a scheme of gRPC`},
		{"dns:50051", "want dns:///dns:50051"},
		{"dns://server", "has no host"},
		{"dns:///", "has no host"},
		{"dns:///shop:x y", `its port is "x y"`},
		{"dns:///a:b:c", "not host:port"},
		{"dns://:/shop:1", "the DNS server"},
		{"passthrough:///", "has no address"},
		{"ipv4:", "is not an address"},
		{"ipv4:shop:1", `"shop:1" in ipv4:shop:1 is not an address`},
		{"ipv4:[::1]:1", "is not an address of ipv4"},
		{"ipv6:10.0.0.1:1", "is not an address of ipv6"},
		{"ipv4:10.0.0.1:0", "is not an address of ipv4"},
		{"unix:", "has no path"},
		{"unix://run/shop.sock", "has a host"},
	}
	for _, tt := range tests {
		if got, err := Parse(tt.target); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q is %+v, %v; want an error with %q", tt.target, got, err, tt.want)
		}
	}
}

func TestServerName(t *testing.T) {
	tests := []struct{ target, want string }{
		{"shop:1", "shop"},
		{"[::1]:1", "::1"},
		{"ipv4:10.0.0.1:1,10.0.0.2:2", "10.0.0.2"},
		{"unix:/run/shop.sock", "localhost"},
	}
	for _, tt := range tests {
		to, err := Parse(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		at := Address{"tcp", "10.0.0.9:1"}
		if len(to.Addresses) > 0 {
			at = to.Addresses[len(to.Addresses)-1]
		}
		if got := to.ServerName(at); got != tt.want {
			t.Errorf("the name of %s is %q, want %q", tt.target, got, tt.want)
		}
	}
}

// The families alternate, and the order within each remains.
func TestResolve(t *testing.T) {
	to, err := Parse("shop:http")
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(_ context.Context, network, host string) (ips []netip.Addr, err error) {
		if network != "ip" || host != "shop" {
			t.Errorf("a lookup of %s in %s", host, network)
		}
		for _, s := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.1", "::ffff:10.0.0.2"} {
			ips = append(ips, netip.MustParseAddr(s))
		}
		return ips, nil
	}
	got, err := to.Resolve(t.Context(), lookup)
	want := tcp("[2001:db8::1]:80", "10.0.0.1:80", "[2001:db8::2]:80", "10.0.0.2:80", "[2001:db8::3]:80")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	empty := func(context.Context, string, string) ([]netip.Addr, error) { return nil, nil }
	if _, err := to.Resolve(t.Context(), empty); !errors.Is(err, errNoAddress) {
		t.Error(err)
	}
	static := Target{Addresses: tcp("a:1")}
	if got, err := static.Resolve(t.Context(), lookup); err != nil || !slices.Equal(got, static.Addresses) {
		t.Error(got, err)
	}
}

// What is accepted can be connected to: each address has a host and a port, or a path.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"shop:1", "dns:///shop:1", "dns://s/h:1", "ipv4:1.2.3.4:5,6.7.8.9", "ipv6:[::1]:2", "unix:///x", "unix-abstract:x", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := Parse(s)
		if err != nil {
			return
		}
		if to.Authority == "" || (to.Addresses == nil) == (to.Host == "") || to.Addresses == nil && to.Port == "" {
			t.Errorf("%q is %+v", s, to)
		}
		for _, a := range to.Addresses {
			if a.Address == "" || to.ServerName(a) == "" && !strings.HasPrefix(s, "passthrough:") {
				t.Errorf("%q has %+v", s, a)
			}
		}
	})
}
