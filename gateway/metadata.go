package gateway

import (
	"golang.org/x/net/http2/hpack"
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

// forwardedFields is forwarded for fields that are encoded. It returns their array.
func forwardedFields(fields []hpack.HeaderField, passes func(reserved string) bool) []hpack.HeaderField {
	kept := fields[:0]
	for _, f := range fields {
		switch {
		case metadatakey.OfConnection(f.Name), !metadatakey.Legal(f.Name), !metadatakey.LegalValue(f.Name, f.Value):
		case metadatakey.OfProtocol(f.Name) && !passes(f.Name):
		default:
			kept = append(kept, f)
		}
	}
	return kept
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
