package policy

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// Gateway is the section gateway of a file: the settings of the sidecar. They have the names of the flags of
// `hauberk run`. The zero value of a field is its default.
type Gateway struct {
	// Listen is the address for calls, "host:port".
	Listen string `policy:"required"`
	// TLS accepts calls with TLS. Without it an address of other than the loopback interface needs insecure.
	TLS *GatewayTLS
	// Insecure accepts plain-text calls from other machines.
	Insecure bool
	// Upstream is the service to forward calls to: "host:port", or a target of grpc-go such as
	// "dns:///shop:50051" or "unix:///run/shop.sock".
	Upstream string `policy:"required"`
	// Transport is "grpc" (default) or "frames".
	Transport string
	// Telemetry is the address for /metrics, /healthz and /readyz, "host:port". The default is not served.
	Telemetry string
	// Admin is the address of the admin listener, "host:port". The default is not served.
	Admin string
	// Drain is how long running calls may take after a signal. The default is 30s; 0s cancels them at once.
	Drain *time.Duration
	// ForwardRequestID sends the id of each call to the upstream and to the client.
	ForwardRequestID bool
	// IdentityMetadata has for parts of the verified identity of the caller the names of request metadata that the
	// upstream receives them in. The parts are subject, issuer, tenant, method, roles, scopes, and claims.NAME for a
	// claim of the credential. Roles and scopes are joined with a comma. A name without a value is not sent. Clients
	// cannot send metadata with these names.
	IdentityMetadata map[string]string
	// StripMetadata names request metadata of clients that is removed before the chain sees it, in addition to the
	// names of identity_metadata. Keys that differ only in "_" or "." for "-", or in the suffix "-bin", are removed,
	// too. The default is a list of names in which proxies write identities, such as x-forwarded-user: see
	// `hauberk run --help`. An empty list removes nothing else.
	StripMetadata []string
	// MaxMessageSize is the largest size of a message, in bytes. The default is that of package gateway.
	MaxMessageSize int
	// MaxHeaderListSize is the largest size of a header list, in bytes. The default is that of package gateway.
	MaxHeaderListSize int
	// MaxConcurrentStreams is the largest number of concurrent calls of a connection. The default is that of
	// package gateway.
	MaxConcurrentStreams int

	places   map[string]place
	settings []Setting
}

// GatewayTLS is the certificate of the sidecar.
type GatewayTLS struct {
	// CertFile and KeyFile are the certificate and its key, in PEM.
	CertFile string `policy:"required"`
	KeyFile  string `policy:"required"`
	// ClientCAFile has the authorities of client certificates in PEM. Calls without a certificate of theirs are then
	// rejected. The default is not to ask for one.
	ClientCAFile string
}

// place is a place in a file.
type place struct{ line, column int }

// Place returns the place of a key in the file, such as "listen". ok is false if the file does not have it. It is
// for flags that take precedence over the file.
func (g *Gateway) Place(key string) (line, column int, ok bool) {
	p, ok := g.places[key]
	return p.line, p.column, ok
}

// Settings returns the keys of the section with their values as they are written. It returns nil for nil.
func (g *Gateway) Settings() []Setting {
	if g == nil {
		return nil
	}
	return slices.Clone(g.settings)
}

// check reports what is wrong with the section.
func (g *Gateway) check(v yamlfile.Value) {
	at := func(key string) yamlfile.Value {
		if value, ok := v.Get(key); ok {
			return value
		}
		return v
	}
	if addr, ok := address(at("listen"), "listen", g.Listen); ok && !loopback(addr) && g.TLS == nil && !g.Insecure {
		at("listen").Errorf("listen is %q, which other machines can reach, without tls; "+
			"want tls, or insecure: true, or an address such as 127.0.0.1:8443", g.Listen)
	}
	for key, value := range map[string]string{"telemetry": g.Telemetry, "admin": g.Admin} {
		if addr, ok := address(at(key), key, value); ok && key == "admin" && !loopback(addr) {
			at(key).Errorf("admin is %q, which other machines can reach; want an address such as 127.0.0.1:9901", value)
		}
	}
	g.checkValues(at)
	if g.TLS != nil && g.TLS.CertFile != "" && g.TLS.KeyFile != "" {
		pair, err := keypair.Open(keypair.Config{CertFile: g.TLS.CertFile, KeyFile: g.TLS.KeyFile})
		if err != nil {
			at("tls").Errorf("tls: %v", err)
			return
		}
		pair.Close()
	}
}

// checkValues reports bad values of single keys.
func (g *Gateway) checkValues(at func(key string) yamlfile.Value) {
	for _, part := range slices.Sorted(maps.Keys(g.IdentityMetadata)) {
		if !IdentityPart(part) {
			at("identity_metadata").Errorf("identity_metadata has the part %.100q; want one of subject, issuer, "+
				"tenant, method, roles, scopes, or claims. with the name of a claim, such as claims.email", part)
		}
		checkMetadata(at("identity_metadata"), "identity_metadata", g.IdentityMetadata[part])
	}
	for _, name := range g.StripMetadata {
		checkMetadata(at("strip_metadata"), "strip_metadata", name)
	}
	if g.Transport != "" && g.Transport != "grpc" && g.Transport != "frames" {
		at("transport").Errorf("transport is %q; want one of grpc, frames", g.Transport)
	}
	if g.Drain != nil && *g.Drain < 0 {
		at("drain").Errorf("drain is %v; want 0s or more", *g.Drain)
	}
	for key, n := range map[string]int{
		"max_message_size": g.MaxMessageSize, "max_header_list_size": g.MaxHeaderListSize,
		"max_concurrent_streams": g.MaxConcurrentStreams,
	} {
		if n < 0 {
			at(key).Errorf("%s is %d; want 1 or more, or 0 for the default", key, n)
		}
	}
}

// IdentityPart reports whether a text names a part of an identity, as in Gateway.IdentityMetadata.
func IdentityPart(text string) bool {
	switch text {
	case "subject", "issuer", "tenant", "method", "roles", "scopes":
		return true
	default:
		claim, ok := strings.CutPrefix(text, "claims.")
		return ok && claim != ""
	}
}

// checkMetadata reports a name that metadata cannot have.
func checkMetadata(v yamlfile.Value, key, name string) {
	if !metadatakey.Text(name) {
		v.Errorf("%s has %.100q; want the name of a metadata key in lower case, such as x-user", key, name)
	}
}

// address reports an address that is no "host:port". It returns the host.
func address(v yamlfile.Value, key, text string) (host string, ok bool) {
	if text == "" {
		return "", false
	}
	host, port, err := net.SplitHostPort(text)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		v.Errorf("%s is %.100q; want host:port, such as 127.0.0.1:8443", key, text)
		return "", false
	}
	return host, true
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
