package gateway

import (
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

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
		case metadatakey.OfConnection(key), !metadatakey.Legal(key), metadatakey.OfProtocol(key) && !passes(key):
			delete(md, key)
		default:
			keepLegal(md, key, values)
		}
	}
	return md
}

// keepLegal takes out the values that gRPC cannot carry.
func keepLegal(md metadata.MD, key string, values []string) {
	for i, v := range values {
		if !metadatakey.LegalValue(key, v) {
			md[key] = append(values[:i:i], legal(key, values[i+1:])...)
			return
		}
	}
}

func legal(key string, values []string) (kept []string) {
	for _, v := range values {
		if metadatakey.LegalValue(key, v) {
			kept = append(kept, v)
		}
	}
	return kept
}
