// Package target parses the address of an upstream: host:port, or a target of gRPC
// (https://github.com/grpc/grpc/blob/master/doc/naming.md) with the schemes dns,
// passthrough, ipv4, ipv6, unix and unix-abstract.
package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Address is an address to connect to, as net.Dialer takes it.
type Address struct{ Network, Address string }

// Target is a parsed target: either addresses, or a name to resolve.
type Target struct {
	Authority string    // of calls without :authority
	Addresses []Address // nil if Host is to be resolved

	Host, Port string // a name, and the number or name of a port
	Server     string // host:port of the DNS server; "" means the resolver of the system
}

// The default ports, as in grpc-go.
const (
	defaultPort    = "443"
	defaultDNSPort = "53"
)

const want = "want host:port, dns:///host:port or unix:///path"

// Parse parses a target. It does not resolve names.
func Parse(s string) (Target, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "dns":
		return parseDNS(rest)
	case "passthrough":
		return passthrough(strings.TrimPrefix(rest, "///"))
	case "ipv4", "ipv6":
		return parseIPs(scheme, strings.TrimPrefix(rest, "///"))
	case "unix", "unix-abstract":
		return parseUnix(scheme, rest)
	}
	if strings.HasPrefix(rest, "//") {
		return Target{}, fmt.Errorf("%q is not a scheme of gRPC; %s", scheme, want)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || checkPort(port) != nil || host == "" {
		return Target{}, errors.New("not an address; want host:port, such as 127.0.0.1:50051")
	}
	return named(host, port), nil
}

func checkPort(port string) error {
	n, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	if err == nil && (n == 0 || port == "") {
		err = errors.New("the port is 0")
	}
	return err
}

// named returns the target of a host, which may be an IP address.
func named(host, port string) Target {
	t := Target{Authority: net.JoinHostPort(host, port)}
	if _, err := netip.ParseAddr(host); err == nil {
		t.Addresses = []Address{{"tcp", t.Authority}}
	} else {
		t.Host, t.Port = host, port
	}
	return t
}

// parseDNS parses what follows "dns:": //server/host:port, ///host:port or host:port. The
// port is optional.
func parseDNS(rest string) (t Target, err error) {
	server := ""
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		if server, rest, ok = strings.Cut(authority, "/"); !ok {
			return t, fmt.Errorf("dns:%s has no host; want dns:///host:port", rest)
		}
	}
	host, port, err := splitHost(rest, defaultPort)
	if err != nil {
		return t, fmt.Errorf("dns:%s: %w; want dns:///host:port", rest, err)
	}
	if strings.Trim(host, "0123456789") == "" {
		return t, fmt.Errorf("dns:%s has no host; for a host with the name dns, want dns:///dns:%s", rest, host)
	}
	t = named(host, port)
	if server != "" {
		host, port, err := splitHost(server, defaultDNSPort)
		if err != nil {
			return t, fmt.Errorf("the DNS server %q: %w; want host or host:port", server, err)
		}
		t.Server = net.JoinHostPort(host, port)
	}
	return t, nil
}

// splitHost splits host or host:port.
func splitHost(s, defaultPort string) (host, port string, err error) {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ip.String(), defaultPort, nil
	}
	host, port = s, defaultPort
	if strings.Contains(s, ":") {
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", "", errors.New("it is not host:port")
		}
	}
	if host == "" || strings.ContainsAny(host, "/,") {
		return "", "", errors.New("it has no host")
	}
	if checkPort(port) != nil {
		return "", "", fmt.Errorf("its port is %q", port)
	}
	return host, port, nil
}

func passthrough(address string) (Target, error) {
	if address == "" {
		return Target{}, errors.New("passthrough: has no address; want passthrough:///host:port")
	}
	return Target{Authority: address, Addresses: []Address{{"tcp", address}}}, nil
}

// parseIPs parses a list of IP addresses, each with an optional port.
func parseIPs(scheme, list string) (t Target, err error) {
	for s := range strings.SplitSeq(list, ",") {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			ip, wrong := netip.ParseAddr(strings.Trim(s, "[]"))
			if wrong != nil {
				return Target{}, fmt.Errorf("%q in %s:%s is not an address; want %s:address:port,address:port",
					s, scheme, list, scheme)
			}
			at = netip.AddrPortFrom(ip, 443)
		}
		if at.Addr().Is4() != (scheme == "ipv4") || at.Port() == 0 {
			return Target{}, fmt.Errorf("%q in %s:%s is not an address of %s with a port", s, scheme, list, scheme)
		}
		t.Addresses = append(t.Addresses, Address{"tcp", at.String()})
	}
	t.Authority = t.Addresses[0].Address
	return t, nil
}

// parseUnix parses a path, or the name of an abstract socket.
func parseUnix(scheme, rest string) (Target, error) {
	path := rest
	if absolute, ok := strings.CutPrefix(rest, "//"); ok {
		path = absolute
		if !strings.HasPrefix(path, "/") {
			return Target{}, fmt.Errorf("%s:%s has a host; want %s:///path", scheme, rest, scheme)
		}
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return Target{}, fmt.Errorf("%s: has no path; want %s:///path", scheme, scheme)
	}
	if scheme == "unix-abstract" {
		path = "@" + path
	}
	return Target{Authority: "localhost", Addresses: []Address{{"unix", path}}}, nil
}

// ServerName returns the name that a certificate of the upstream must have at an address.
func (t Target) ServerName(a Address) string {
	of := t.Authority
	if len(t.Addresses) > 1 {
		of = a.Address
	}
	if host, _, err := net.SplitHostPort(of); err == nil {
		return host
	}
	return of
}
