package policy

import (
	"maps"
	"math"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// valueAt returns the value of a key of the section, or the section.
type valueAt func(key string) yamlfile.Value

// check reports what is wrong with the section.
func (g *Gateway) check(v yamlfile.Value) {
	at := func(key string) yamlfile.Value {
		if value, ok := v.Get(key); ok {
			return value
		}
		return v
	}
	g.checkListen(at)
	g.checkUpstream(at)
	g.checkAdmin(at)
	address(at("telemetry"), "telemetry", g.Telemetry)
	g.checkValues(at)
	g.checkTLS(at)
	g.checkNumbers(at)
}

// maxSocket is the longest path of a socket, on Linux.
const maxSocket = 107

func (g *Gateway) checkListen(at valueAt) {
	if path, ok := strings.CutPrefix(g.Listen, "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); path == "" || len(path) > maxSocket {
			at("listen").Errorf("listen has a path of %d bytes; want unix:PATH with 1 to %d", len(path), maxSocket)
		}
		return
	}
	if addr, ok := address(at("listen"), "listen", g.Listen); ok && !loopback(addr) && g.TLS == nil && !g.Insecure {
		at("listen").Errorf("listen is %q, which other machines can reach, without tls; "+
			"want tls, or insecure: true, or an address such as 127.0.0.1:8443", g.Listen)
	}
}

// isScheme reports whether a text is the scheme of a target of gRPC.
func isScheme(text string) bool {
	switch text {
	case "dns", "passthrough", "ipv4", "ipv6", "unix", "unix-abstract", "xds":
		return true
	default:
		return false
	}
}

// checkUpstream reports an upstream that is neither "host:port" nor has a scheme of gRPC. The sidecar checks the rest
// when it starts.
func (g *Gateway) checkUpstream(at valueAt) {
	scheme, rest, _ := strings.Cut(g.Upstream, ":")
	switch {
	case g.Upstream == "" || isScheme(scheme): // a missing one is reported elsewhere
	case strings.HasPrefix(rest, "//"):
		at("upstream").Errorf("upstream is %.100q, and %q is not a scheme of gRPC; "+
			"want host:port, dns:///host:port or unix:///path", g.Upstream, scheme)
	default:
		host, port, err := net.SplitHostPort(g.Upstream)
		if err != nil || host == "" || port == "" || port == "0" {
			at("upstream").Errorf("upstream is %.100q; want host:port, such as 127.0.0.1:50051", g.Upstream)
		}
	}
}

func (g *Gateway) checkAdmin(at valueAt) {
	addr, ok := address(at("admin"), "admin", g.Admin)
	if ok && !loopback(addr) && (g.AdminTokenFile == "" || g.AdminTLS == nil && !g.Insecure) {
		at("admin").Errorf("admin is %q, which other machines can reach; want admin_token_file and admin_tls, "+
			"or an address such as 127.0.0.1:9901", g.Admin)
	}
	if g.Admin == "" {
		for key, set := range map[string]bool{
			"admin_token_file": g.AdminTokenFile != "", "admin_tls": g.AdminTLS != nil,
		} {
			if set {
				at(key).Errorf("%s is set without admin; want admin, such as 127.0.0.1:9901", key)
			}
		}
	}
	if g.Telemetry == "" && g.TelemetryTLS != nil {
		at("telemetry_tls").Errorf("telemetry_tls is set without telemetry; want telemetry, such as 127.0.0.1:9464")
	}
}

// checkTLS reports certificates that cannot be used, and bad versions.
func (g *Gateway) checkTLS(at valueAt) {
	pair := func(key, cert, secret string) {
		if cert == "" || secret == "" {
			return // reported as missing
		}
		p, err := keypair.Open(keypair.Config{CertFile: cert, KeyFile: secret})
		if err != nil {
			at(key).Errorf("%s: %v", key, err)
			return
		}
		p.Close()
	}
	version := func(key, v string) {
		if v != "" && v != "1.2" && v != "1.3" {
			at(key).Errorf(`%s has the min_version %.100q; want one of "1.2", "1.3"`, key, v)
		}
	}
	if t := g.TLS; t != nil {
		pair("tls", t.CertFile, t.KeyFile)
		version("tls", t.MinVersion)
	}
	if t := g.TelemetryTLS; t != nil {
		pair("telemetry_tls", t.CertFile, t.KeyFile)
	}
	if t := g.AdminTLS; t != nil {
		pair("admin_tls", t.CertFile, t.KeyFile)
	}
	if t := g.UpstreamTLS; t != nil {
		if (t.CertFile == "") != (t.KeyFile == "") {
			at("upstream_tls").Errorf("upstream_tls has one of cert_file and key_file; want both or none")
		}
		pair("upstream_tls", t.CertFile, t.KeyFile)
		version("upstream_tls", t.MinVersion)
	}
}

// checkValues reports bad values of single keys.
func (g *Gateway) checkValues(at valueAt) {
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
		at("transport").Errorf("transport is %q; want one of frames, grpc", g.Transport)
	}
	if b := g.UpstreamBalance; b != "" && b != "pick_first" && b != "round_robin" {
		at("upstream_balance").Errorf("upstream_balance is %.100q; want one of pick_first, round_robin", b)
	}
	if !isMemory(g.MaxMemory) {
		at("max_memory").Errorf("max_memory is %.100q; want a size such as 512MiB, a percentage such as 75%%, or \"0\"",
			g.MaxMemory)
	}
}

// checkNumbers reports numbers and times below their least values. The sidecar checks the others when it starts.
func (g *Gateway) checkNumbers(at valueAt) {
	if g.Drain != nil && *g.Drain < 0 {
		at("drain").Errorf("drain is %v; want 0s or more", *g.Drain)
	}
	for key, n := range map[string]int{
		"max_message_size": g.MaxMessageSize, "max_header_list_size": g.MaxHeaderListSize,
		"max_upstream_header_list_size": g.MaxUpstreamHeaderListSize,
		"max_concurrent_streams":        g.MaxConcurrentStreams, "max_connections": g.MaxConnections,
		"max_handshakes":    g.MaxHandshakes,
		"max_settings_rate": g.MaxSettingsRate, "max_reset_rate": g.MaxResetRate,
		"max_empty_frame_rate": g.MaxEmptyFrameRate, "upstream_eject_after": g.UpstreamEjectAfter,
		"upstream_eject_percent": g.UpstreamEjectPercent,
	} {
		if n < 0 || n > math.MaxInt32 {
			at(key).Errorf("%s is %d; want 1 to %d, or 0 for the default", key, n, math.MaxInt32)
		}
	}
	for key, d := range map[string]time.Duration{
		"upstream_connect_timeout": g.UpstreamConnectTimeout, "upstream_min_backoff": g.UpstreamMinBackoff,
		"upstream_max_backoff": g.UpstreamMaxBackoff, "upstream_ping_after": g.UpstreamPingAfter,
		"upstream_ping_timeout": g.UpstreamPingTimeout, "upstream_eject_time": g.UpstreamEjectTime,
		"upstream_wait": g.UpstreamWait, "max_connection_age": g.MaxConnectionAge,
		"max_connection_age_grace": g.MaxConnectionAgeGrace, "max_connection_idle": g.MaxConnectionIdle,
		"min_ping_interval": g.MinPingInterval, "handshake_timeout": g.HandshakeTimeout,
		"frame_timeout": g.FrameTimeout, "message_timeout": g.MessageTimeout, "first_byte_timeout": g.FirstByteTimeout,
	} {
		if d < 0 {
			at(key).Errorf("%s is %v; want a time such as 10s, or 0s for the default", key, d)
		}
	}
}

var memory = regexp.MustCompile(`^(\d+(\.\d+)?)( ?([KMGT]i?)?B?|%)$`)

// isMemory reports whether a text is a size, or a percentage of 100 at most. "" is the default.
func isMemory(text string) bool {
	m := memory.FindStringSubmatch(text)
	if m == nil {
		return text == ""
	}
	n, err := strconv.ParseFloat(m[1], 64)
	return err == nil && (m[3] != "%" || n > 0 && n <= 100)
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
