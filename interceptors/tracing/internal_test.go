package tracing

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

func TestClean(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aé", 3, "aé"},
		{"abé", 3, "ab"},
		{"€€", 5, "€"},
		{"a\xff", 9, "a\uFFFD"},
		{"\x80\x80\x80", 2, ""},
	} {
		if got := clean(test.text, test.limit); got != test.want {
			t.Errorf("clean(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

// The targets are the examples of the semantic conventions for gRPC, in grpc-go's canonical form if
// there is one.
func TestSplitTarget(t *testing.T) {
	for target, want := range map[string]string{
		"grpc.io:50051":                                  "grpc.io 50051",
		"dns:///grpc.io:50051":                           "grpc.io 50051",
		"dns://1.2.3.4/grpc.io:50051":                    "grpc.io 50051",
		"dns:///grpc.io":                                 "grpc.io 0",
		"dns:///[2001:db8::1]:443":                       "2001:db8::1 443",
		"passthrough:///10.1.2.80:7777":                  "10.1.2.80 7777",
		"passthrough:bufconn":                            "bufconn 0",
		"unix:///run/containerd/containerd.sock":         "/run/containerd/containerd.sock 0",
		"unix-abstract:name":                             "name 0",
		"zk://zookeeper:2181/my-server":                  "zk://zookeeper:2181/my-server 0",
		"ipv4:198.51.100.123:50051,198.51.100.124:50051": "ipv4:198.51.100.123:50051,198.51.100.124:50051 0",
		"xds:///shop":                                    "xds:///shop 0",
		"dns:///grpc.io:http":                            "grpc.io 0",
		"%zz":                                            "%zz 0",
		"":                                               " 0",
	} {
		host, port := splitTarget(target)
		if got := fmt.Sprint(host, " ", port); got != want {
			t.Errorf("splitTarget(%q) = %q, want %q", target, got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		addr net.Addr
		want string
	}{
		{nil, "[]"},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, "192.0.2.1 80"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"}, "fe80::1%eth0 80"},
		{&net.UnixAddr{Name: "/tmp/x.sock"}, "/tmp/x.sock"},
	} {
		var got []string
		for _, a := range placeAt(test.addr).attributes(hauberk.ServerSide) {
			got = append(got, a.Value.String())
		}
		if strings.Join(got, " ") != strings.Trim(test.want, "[]") {
			t.Errorf("%v: %q, want %q", test.addr, got, test.want)
		}
	}
}

// The number of cached places is bounded, and the options of all places are correct.
func TestPlacesAreBounded(t *testing.T) {
	m := newMethod(hauberk.ClientSide, "a", "a")
	for range 2 {
		for i := range 3 * maxPlaces {
			at := place{text: fmt.Sprintf("dns:///host%d:1", i)}
			options := m.startAt(at, hauberk.ClientSide)
			if len(options) != 2 || !strings.Contains(fmt.Sprint(options[1]), fmt.Sprintf("host%d", i)) {
				t.Fatalf("host %d: %v", i, options)
			}
		}
	}
	if got := len(m.all()); got != maxPlaces {
		t.Errorf("%d places are cached", got)
	}
}

// The number of methods with a span name is bounded on a client.
func TestMethodNamesAreBounded(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		var tb table
		tb.init(side, 2)
		var got []bool
		for _, name := range []string{"/s/a", "/s/b", "/s/c", "/s/a"} {
			m, recognized := tb.register(name)
			if recognized == (m == tb.other) {
				t.Errorf("%s: the span name of %s is %s", side, name, m.name)
			}
			got = append(got, recognized)
		}
		third := side == hauberk.ServerSide // the methods of a server are not bounded
		if want := []bool{true, true, third, true}; !slices.Equal(got, want) {
			t.Errorf("%s: recognized %v, want %v", side, got, want)
		}
	}
}
