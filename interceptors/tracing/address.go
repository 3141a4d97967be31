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

// place is the server's address of a call: on a server the local address of the connection, on a
// client the target of the connection.
type place struct {
	addr netip.AddrPort
	text string // a target, or an address that is not an IP address
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

// attributes returns server.address and server.port if they are known.
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

// splitTarget returns the server's name and port in a target of gRPC
// (github.com/grpc/grpc/blob/master/doc/naming.md). If the target does not name a server it returns
// the whole target, as the semantic conventions specify.
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
		return host, port // without a scheme
	}
	return target, 0
}

// splitHostPort splits a host and a numeric port. It returns other texts unchanged.
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

// appendPeer appends the remote address of the connection and, on a server behind trusted proxies, the
// address of the caller.
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
