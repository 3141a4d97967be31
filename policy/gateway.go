package policy

import (
	"slices"
	"time"
)

// Gateway is the section gateway of a file: the settings of the sidecar. They have the names of the flags of
// `hauberk run`. The zero value of a field is its default.
type Gateway struct {
	// Listen is the address for calls, "host:port" or "unix:PATH".
	Listen string `policy:"required"`
	// TLS accepts calls with TLS. Without it an address of other than the loopback interface needs insecure.
	TLS *GatewayTLS
	// Insecure accepts plain-text calls from other machines.
	Insecure bool
	// Upstream is the service to forward calls to: "host:port", or a target of gRPC such as
	// "dns:///shop:50051" or "unix:///run/shop.sock".
	Upstream string `policy:"required"`
	// Transport is "frames" (default), which forwards frames of HTTP/2, or "grpc", which forwards calls of grpc-go.
	Transport string
	// Telemetry is the address for /metrics, /healthz and /readyz, "host:port". The default is not served.
	Telemetry string
	// TelemetryTLS serves Telemetry with TLS. Without it an address of other than the loopback interface needs
	// insecure.
	TelemetryTLS *CertificateFiles
	// Admin is the address of the admin listener, "host:port": the policy in force, recent rejections, reloads,
	// profiles. The default is not served.
	Admin string
	// AdminTLS serves Admin with TLS. Without it an address of other than the loopback interface needs insecure.
	AdminTLS *CertificateFiles
	// AdminTokenFile has the token that requests to Admin need, of 32 characters or more. Without it Admin must be a
	// loopback address, and serves neither reloads nor profiles.
	AdminTokenFile string
	// HealthService is the name of a service with which grpc.health.v1.Health/Check is answered by the state of the
	// sidecar, as at /readyz. The default is hauberk; "" forwards all checks.
	HealthService *string
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
	// too. The default is a list of names in which proxies write identities and addresses, such as x-forwarded-user and
	// x-real-ip: see `hauberk run --help`. An empty list removes nothing else.
	StripMetadata []string
	// ForwardAddress sends the address of the client to the upstream in x-forwarded-for, after the entries that proxies
	// of trusted_proxies have written. All other entries are removed. The default is true; false forwards the header as
	// the client sent it.
	ForwardAddress *bool
	// DescriptorsFile has the descriptors of the upstream's services, as `buf build -o FILE` or protoc
	// --include_imports --descriptor_set_out=FILE write them. Patterns of methods are then checked, and metrics, logs
	// and traces have the names of methods from the first call on. The default is to learn names from answers.
	// Messages of methods whose entries read them, such as validate, are decoded. It is read at the start.
	DescriptorsFile string
	// Reflection asks the upstream for these descriptors, by server reflection: at the start, each minute, and when a
	// call needs one that is missing. The last answer remains in force while the upstream does not answer. Until the
	// first one, DescriptorsFile is used, and without it calls whose messages must be decoded end with UNAVAILABLE.
	Reflection bool
	// UpstreamTLS calls the upstream with TLS; {} has the defaults. The default is plain text.
	UpstreamTLS *UpstreamTLS
	// UpstreamBalance is how several addresses are used: "pick_first" (default) or "round_robin".
	UpstreamBalance string
	// UpstreamConnectTimeout is how long an attempt to connect may take. The default is 5s.
	UpstreamConnectTimeout time.Duration
	// UpstreamMinBackoff and UpstreamMaxBackoff are the first and the greatest delay between attempts to connect. The
	// defaults are 50ms and 500ms.
	UpstreamMinBackoff time.Duration
	UpstreamMaxBackoff time.Duration
	// UpstreamTCPTimeout is how long the upstream's machine may not answer. The default is 30s; -1s disables it.
	UpstreamTCPTimeout time.Duration
	// UpstreamPingAfter is the time of silence after which PING is sent, 10s or more. The upstream must permit it. The
	// default is none.
	UpstreamPingAfter time.Duration
	// UpstreamPingTimeout is how long the answer to a PING may take. The default is 20s.
	UpstreamPingTimeout time.Duration
	// UpstreamPingIdle sends PING on connections without calls, too.
	UpstreamPingIdle bool
	// UpstreamHealth uses addresses of the upstream by their health (grpc.health.v1.Health/Watch).
	UpstreamHealth bool
	// UpstreamHealthService is the service whose health is watched. The default is the server as a whole.
	UpstreamHealthService string
	// UpstreamEjectAfter is the number of consecutive transport errors after which an address is not used. The default
	// is none.
	UpstreamEjectAfter int
	// UpstreamEjectTime is how long an address is then not used. The default is 30s.
	UpstreamEjectTime time.Duration
	// UpstreamEjectPercent is the largest percentage of addresses that are not used for errors. The default is 50.
	UpstreamEjectPercent int
	// UpstreamWait is how long calls wait for a connection while attempts fail. The default is not.
	UpstreamWait time.Duration
	// MaxMessageSize is the largest size of a message, in bytes. The default is that of package gateway, as for all
	// limits.
	MaxMessageSize int
	// MaxHeaderListSize is the largest size of a header list of a client, in bytes.
	MaxHeaderListSize int
	// MaxUpstreamHeaderListSize is the largest size of a header list of the upstream, in bytes.
	MaxUpstreamHeaderListSize int
	// MaxConcurrentStreams is the largest number of concurrent calls of a connection.
	MaxConcurrentStreams int
	// MaxConnections is the largest number of connections of clients.
	MaxConnections int
	// MaxHandshakes is the largest number of connections of clients that have not completed TLS or begun HTTP/2. For a
	// further one the oldest is closed.
	MaxHandshakes int
	// MaxConnectionAge is the age at which a client must connect again, +-10 %. The default is none.
	MaxConnectionAge time.Duration
	// MaxConnectionAgeGrace is how long calls may go on after MaxConnectionAge. The default is no limit.
	MaxConnectionAgeGrace time.Duration
	// MaxConnectionIdle is how long a connection may have no calls.
	MaxConnectionIdle time.Duration
	// MinPingInterval is the least time between two PINGs of a client.
	MinPingInterval time.Duration
	// MaxSettingsRate, MaxResetRate and MaxEmptyFrameRate are the largest numbers of SETTINGS, of RST_STREAM and of
	// frames without effect, per second of one connection.
	MaxSettingsRate   int
	MaxResetRate      int
	MaxEmptyFrameRate int
	// HandshakeTimeout is how long a new connection may take for its first frames.
	HandshakeTimeout time.Duration
	// FrameTimeout is how long a frame or header block may take that has begun.
	FrameTimeout time.Duration
	// MessageTimeout is how long a message may take that has begun, and a second more for each 1000 bytes.
	MessageTimeout time.Duration
	// FirstByteTimeout is how long the upstream may take for a response header. The default is no limit.
	FirstByteTimeout time.Duration
	// MaxMemory is the memory of the process, such as 512MiB, or a percentage of the cgroup's limit, such as 75%; "0"
	// is no limit. The default is 75% if there is a limit.
	MaxMemory string

	places   map[string]place
	settings []Setting
}

// GatewayTLS is the certificate of the sidecar.
type GatewayTLS struct {
	// CertFile and KeyFile are the certificate and its key, in PEM.
	CertFile string `policy:"required"`
	KeyFile  string `policy:"required"`
	// ClientCAFile has the authorities of client certificates in PEM. Calls without a certificate of theirs are then
	// rejected. It is read at the start. The default is not to ask for one.
	ClientCAFile string
	// MinVersion is the lowest version of TLS: "1.2" (default) or "1.3".
	MinVersion string
}

// CertificateFiles is the certificate of a listener.
type CertificateFiles struct {
	// CertFile and KeyFile are the certificate and its key, in PEM.
	CertFile string `policy:"required"`
	KeyFile  string `policy:"required"`
}

// UpstreamTLS is how the upstream is called with TLS.
type UpstreamTLS struct {
	// CAFile has the authorities of the upstream's certificate in PEM. It is read at the start. The default is those of
	// the system.
	CAFile string
	// CertFile and KeyFile are the certificate for the upstream and its key, in PEM. The default is none.
	CertFile string
	KeyFile  string
	// ServerName is the name in the upstream's certificate. The default is the host of upstream.
	ServerName string
	// MinVersion is the lowest version of TLS: "1.2" (default) or "1.3".
	MinVersion string
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
