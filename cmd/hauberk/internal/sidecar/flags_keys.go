package sidecar

import (
	"cmp"
	"fmt"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// section is the section gateway of a file.
type section = policyfile.Gateway

// keyOf has for each flag with a key of gateway the key, and how it is set. take is called if the file has the key.
//
//nolint:gochecknoglobals // never written
var keyOf = map[string]struct {
	key  string
	take func(o *options, g *section)
}{
	"listen":    {"listen", func(o *options, g *section) { o.listen = g.Listen }},
	"upstream":  {"upstream", func(o *options, g *section) { o.upstream = g.Upstream }},
	"telemetry": {"telemetry", func(o *options, g *section) { o.telemetry = g.Telemetry }},
	"telemetry-tls-cert": {"telemetry_tls.cert_file", func(o *options, g *section) {
		o.telemetryTLS.Cert = g.TelemetryTLS.CertFile
	}},
	"telemetry-tls-key": {"telemetry_tls.key_file", func(o *options, g *section) {
		o.telemetryTLS.Key = g.TelemetryTLS.KeyFile
	}},
	"admin": {"admin", func(o *options, g *section) { o.admin.Address = g.Admin }},
	"admin-tls-cert": {"admin_tls.cert_file", func(o *options, g *section) {
		o.admin.TLS.Cert = g.AdminTLS.CertFile
	}},
	"admin-tls-key": {"admin_tls.key_file", func(o *options, g *section) {
		o.admin.TLS.Key = g.AdminTLS.KeyFile
	}},
	"admin-token-file": {"admin_token_file", func(o *options, g *section) {
		o.admin.TokenFile = g.AdminTokenFile
	}},
	"transport":      {"transport", func(o *options, g *section) { o.transport = g.Transport }},
	"drain":          {"drain", func(o *options, g *section) { o.drain = *g.Drain }},
	"health-service": {"health_service", func(o *options, g *section) { o.health = *g.HealthService }},
	"insecure":       {"insecure", func(o *options, g *section) { o.insecure = g.Insecure }},
	"forward-request-id": {"forward_request_id", func(o *options, g *section) {
		o.forwardID = g.ForwardRequestID
	}},
	"tls-cert": {"tls.cert_file", func(o *options, g *section) { o.connections.clients.cert = g.TLS.CertFile }},
	"tls-key":  {"tls.key_file", func(o *options, g *section) { o.connections.clients.key = g.TLS.KeyFile }},
	"tls-client-ca": {"tls.client_ca_file", func(o *options, g *section) {
		o.connections.clients.ca = g.TLS.ClientCAFile
	}},
	"tls-min": {"tls.min_version", func(o *options, g *section) {
		o.connections.clients.version = cmp.Or(g.TLS.MinVersion, "1.2")
	}},
	"identity-metadata": {"identity_metadata", func(o *options, g *section) { o.identity = g.IdentityMetadata }},
	"strip-metadata": {"strip_metadata", func(o *options, g *section) {
		o.strip = append([]string{}, g.StripMetadata...)
	}},
	"descriptors": {"descriptors_file", func(o *options, g *section) { o.descriptorsFile = g.DescriptorsFile }},
	"reflection":  {"reflection", func(o *options, g *section) { o.reflection = g.Reflection }},
	"upstream-tls": {"upstream_tls", func(o *options, g *section) {
		o.connections.upstreamTLS = g.UpstreamTLS != nil
	}},
	"upstream-ca": {"upstream_tls.ca_file", func(o *options, g *section) {
		o.connections.upstream.ca = g.UpstreamTLS.CAFile
	}},
	"upstream-cert": {"upstream_tls.cert_file", func(o *options, g *section) {
		o.connections.upstream.cert = g.UpstreamTLS.CertFile
	}},
	"upstream-key": {"upstream_tls.key_file", func(o *options, g *section) {
		o.connections.upstream.key = g.UpstreamTLS.KeyFile
	}},
	"upstream-server-name": {"upstream_tls.server_name", func(o *options, g *section) {
		o.connections.upstream.name = g.UpstreamTLS.ServerName
	}},
	"upstream-tls-min": {"upstream_tls.min_version", func(o *options, g *section) {
		o.connections.upstream.version = cmp.Or(g.UpstreamTLS.MinVersion, "1.2")
	}},
	"upstream-balance": {"upstream_balance", func(o *options, g *section) {
		o.connections.balance = g.UpstreamBalance
	}},
	"upstream-connect-timeout": {"upstream_connect_timeout", func(o *options, g *section) {
		o.connections.connectTimeout = g.UpstreamConnectTimeout
	}},
	"upstream-min-backoff": {"upstream_min_backoff", func(o *options, g *section) {
		o.connections.minBackoff = g.UpstreamMinBackoff
	}},
	"upstream-max-backoff": {"upstream_max_backoff", func(o *options, g *section) {
		o.connections.maxBackoff = g.UpstreamMaxBackoff
	}},
	"upstream-tcp-timeout": {"upstream_tcp_timeout", func(o *options, g *section) {
		o.connections.tcpTimeout = g.UpstreamTCPTimeout
	}},
	"upstream-ping-after": {"upstream_ping_after", func(o *options, g *section) {
		o.connections.pingAfter = g.UpstreamPingAfter
	}},
	"upstream-ping-timeout": {"upstream_ping_timeout", func(o *options, g *section) {
		o.connections.pingTimeout = g.UpstreamPingTimeout
	}},
	"upstream-ping-idle": {"upstream_ping_idle", func(o *options, g *section) {
		o.connections.pingIdle = g.UpstreamPingIdle
	}},
	"upstream-health": {"upstream_health", func(o *options, g *section) {
		o.connections.health = g.UpstreamHealth
	}},
	"upstream-health-service": {"upstream_health_service", func(o *options, g *section) {
		o.connections.healthService = g.UpstreamHealthService
	}},
	"upstream-eject-after": {"upstream_eject_after", func(o *options, g *section) {
		o.connections.ejectAfter = g.UpstreamEjectAfter
	}},
	"upstream-eject-time": {"upstream_eject_time", func(o *options, g *section) {
		o.connections.ejectTime = g.UpstreamEjectTime
	}},
	"upstream-eject-percent": {"upstream_eject_percent", func(o *options, g *section) {
		o.connections.ejectPercent = g.UpstreamEjectPercent
	}},
	"upstream-wait": {"upstream_wait", func(o *options, g *section) { o.connections.wait = g.UpstreamWait }},
	"max-message-size": {"max_message_size", func(o *options, g *section) {
		o.limits.message = size(g.MaxMessageSize)
	}},
	"max-header-size": {"max_header_list_size", func(o *options, g *section) {
		o.limits.header = size(g.MaxHeaderListSize)
	}},
	"max-upstream-header-size": {"max_upstream_header_list_size", func(o *options, g *section) {
		o.limits.upstreamHeader = size(g.MaxUpstreamHeaderListSize)
	}},
	"max-streams": {"max_concurrent_streams", func(o *options, g *section) {
		o.limits.streams = g.MaxConcurrentStreams
	}},
	"max-connections": {"max_connections", func(o *options, g *section) {
		o.limits.connections = g.MaxConnections
	}},
	"max-handshakes": {"max_handshakes", func(o *options, g *section) {
		o.limits.handshakes = g.MaxHandshakes
	}},
	"max-connection-age": {"max_connection_age", func(o *options, g *section) {
		o.limits.age = g.MaxConnectionAge
	}},
	"max-connection-age-grace": {"max_connection_age_grace", func(o *options, g *section) {
		o.limits.grace = g.MaxConnectionAgeGrace
	}},
	"max-connection-idle": {"max_connection_idle", func(o *options, g *section) {
		o.limits.idle = g.MaxConnectionIdle
	}},
	"min-ping-interval": {"min_ping_interval", func(o *options, g *section) {
		o.limits.ping = g.MinPingInterval
	}},
	"max-settings-rate": {"max_settings_rate", func(o *options, g *section) {
		o.limits.settings = g.MaxSettingsRate
	}},
	"max-reset-rate": {"max_reset_rate", func(o *options, g *section) { o.limits.resets = g.MaxResetRate }},
	"max-empty-frame-rate": {"max_empty_frame_rate", func(o *options, g *section) {
		o.limits.empty = g.MaxEmptyFrameRate
	}},
	"handshake-timeout": {"handshake_timeout", func(o *options, g *section) {
		o.limits.handshake = g.HandshakeTimeout
	}},
	"frame-timeout": {"frame_timeout", func(o *options, g *section) { o.limits.frame = g.FrameTimeout }},
	"message-timeout": {"message_timeout", func(o *options, g *section) {
		o.limits.messageTime = g.MessageTimeout
	}},
	"first-byte-timeout": {"first_byte_timeout", func(o *options, g *section) {
		o.limits.firstByte = g.FirstByteTimeout
	}},
	"max-memory": {"max_memory", func(o *options, g *section) {
		if err := o.limits.memory.Set(g.MaxMemory); err != nil && g.MaxMemory != "" {
			o.wrong = fmt.Errorf("gateway.max_memory is %q: %w", g.MaxMemory, err)
		}
	}},
}
