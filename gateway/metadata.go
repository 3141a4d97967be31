package gateway

import (
	"strings"

	"google.golang.org/grpc/metadata"
)

// own reports whether a name belongs to one connection, or to the ends of it.
func own(key string) bool {
	switch key {
	case "connection", "content-length", "content-type", "host", "http2-settings", "keep-alive", "proxy-authenticate",
		"proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent":
		return true
	default:
		return false
	}
}

// Names with the prefix "grpc-" are reserved for the protocol, whose other parts
// the gateway speaks itself. These are between the ends of a call: the context of
// tracing and tagging, and in responses the delay before a retry (gRFC A6) and
// the server's own measurements.

func requestReserved(key string) bool { return key == "grpc-tags-bin" || key == "grpc-trace-bin" }

func responseReserved(key string) bool {
	return key == "grpc-retry-pushback-ms" || key == "grpc-server-stats-bin"
}

// forwarded takes out of md what is not forwarded, and returns it. passes says which
// of the reserved names are.
func forwarded(md metadata.MD, passes func(reserved string) bool) metadata.MD {
	for key, values := range md {
		switch {
		case own(key), !legalKey(key), strings.HasPrefix(key, "grpc-") && !passes(key):
			delete(md, key)
		case !strings.HasSuffix(key, "-bin"):
			keepLegal(md, key, values)
		}
	}
	return md
}

// keepLegal takes out the values that gRPC cannot carry.
func keepLegal(md metadata.MD, key string, values []string) {
	for i, v := range values {
		if !legalValue(v) {
			md[key] = append(values[:i:i], legal(values[i+1:])...)
			return
		}
	}
}

func legal(values []string) (kept []string) {
	for _, v := range values {
		if legalValue(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// legalKey follows PROTOCOL-HTTP2.md; it refuses pseudo headers too.
func legalKey(key string) bool {
	for i := range len(key) {
		if !legalInKey(key[i]) {
			return false
		}
	}
	return key != ""
}

func legalInKey(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

func legalValue(value string) bool {
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return false
		}
	}
	return true
}
