package tracing

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/hauberk-rpc/hauberk"
)

// place is where the server of a call is: on a server the address that the call
// came in at, on a client the target of its connection.
type place struct {
	addr netip.AddrPort
	text string // of a target, and of an address that is none of IP
}

func placeOf(call *hauberk.Call) place {
	if call.Side() == hauberk.ClientSide {
		return place{text: call.Target()}
	}
	if p := call.Peer(); p != nil {
		return placeAt(p.LocalAddr)
	}
	return place{}
}

func placeAt(addr net.Addr) place {
	switch addr := addr.(type) {
	case nil:
		return place{}
	case *net.TCPAddr:
		ap := addr.AddrPort()
		return place{addr: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}
	default:
		return place{text: addr.String()}
	}
}

// attributes returns server.address and server.port, as far as they are known.
func (p place) attributes(side hauberk.Side) []attribute.KeyValue {
	host, port := p.split(side)
	if host == "" {
		return nil
	}
	attrs := []attribute.KeyValue{semconv.ServerAddress(clean(host, maxName))}
	if port > 0 {
		attrs = append(attrs, semconv.ServerPort(port))
	}
	return attrs
}

func (p place) split(side hauberk.Side) (host string, port int) {
	switch {
	case p.addr.IsValid():
		return p.addr.Addr().String(), int(p.addr.Port())
	case side == hauberk.ClientSide:
		return splitTarget(p.text)
	default:
		return splitHostPort(p.text)
	}
}

// splitTarget finds the server's name in a target of gRPC
// (github.com/grpc/grpc/blob/master/doc/naming.md). One that is no name of servers
// is taken whole, as the semantic conventions say.
func splitTarget(target string) (host string, port int) {
	u, err := url.Parse(target)
	if err != nil {
		return splitHostPort(target)
	}
	switch u.Scheme {
	case "dns", "passthrough":
		endpoint := strings.TrimPrefix(u.Path, "/")
		if endpoint == "" {
			endpoint = u.Opaque
		}
		return splitHostPort(endpoint)
	case "unix", "unix-abstract":
		return u.Path + u.Opaque, 0
	}
	if host, port = splitHostPort(target); port > 0 && u.Host == "" {
		return host, port // no scheme at all
	}
	return target, 0
}

// splitHostPort returns a text whole that is not a host and a numeric port.
func splitHostPort(text string) (host string, port int) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return text, 0
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int(n)
}

// appendPeer adds where the other end of the connection is, and on a server behind
// trusted proxies where the call comes from.
func appendPeer(attrs []attribute.KeyValue, call *hauberk.Call) []attribute.KeyValue {
	p := call.Peer()
	if p == nil || p.Addr == nil {
		return attrs
	}
	at := placeAt(p.Addr)
	if !at.addr.IsValid() {
		return append(attrs, semconv.NetworkPeerAddress(clean(at.text, maxName)))
	}
	ip := at.addr.Addr()
	attrs = append(attrs, semconv.NetworkPeerAddress(ip.String()), semconv.NetworkPeerPort(int(at.addr.Port())))
	if client := call.ClientAddr(); client.IsValid() && client != ip.WithZone("") {
		attrs = append(attrs, semconv.ClientAddress(client.String()))
	}
	return attrs
}
