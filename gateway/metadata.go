package gateway

import (
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// Keys with the prefix "grpc-" are reserved for the protocol. The gateway handles most of
// them itself. The following keys concern the client and the upstream, and are forwarded:
// in requests the context of tracing and tagging, in responses the delay before a retry
// (gRFC A6) and the server's measurements.

func requestReserved(key string) bool { return key == "grpc-tags-bin" || key == "grpc-trace-bin" }

func responseReserved(key string) bool {
	return key == "grpc-retry-pushback-ms" || key == "grpc-server-stats-bin"
}

// forwarded removes the metadata that is not forwarded from md, and returns md. passes
// reports whether a reserved key is forwarded.
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

// keepLegal removes the values that gRPC does not allow.
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
