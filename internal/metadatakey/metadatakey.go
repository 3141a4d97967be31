// Package metadatakey checks keys and values of gRPC metadata.
//
// Keys are in lower case, as in metadata.MD.
package metadatakey

import "strings"

// Legal reports whether HTTP/2 can carry key, by PROTOCOL-HTTP2.md: it has at least one
// character, and only lower-case letters, digits, "-", "_" and ".". Pseudo headers such
// as ":path" are not legal.
func Legal(key string) bool {
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

// Binary reports whether the values of key can be any bytes. gRPC encodes them.
func Binary(key string) bool { return strings.HasSuffix(key, "-bin") }

// LegalValue reports whether HTTP/2 can carry value under key: any value under a binary key,
// and printable ASCII under other keys.
func LegalValue(key, value string) bool {
	if Binary(key) {
		return true
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// Reserved reports whether key has a meaning in gRPC (PROTOCOL-HTTP2.md), or belongs to one
// connection or its two ends (RFC 9110, RFC 9113). Applications cannot use such a key, and
// proxies do not forward it.
func Reserved(key string) bool { return OfProtocol(key) || OfConnection(key) }

// OfProtocol reports whether key has the prefix that gRPC reserves.
func OfProtocol(key string) bool { return strings.HasPrefix(key, "grpc-") }

// OfConnection reports whether key belongs to one connection or its two ends.
func OfConnection(key string) bool {
	switch key {
	case "connection", "content-length", "content-type", "host", "http2-settings", "keep-alive", "proxy-authenticate",
		"proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent":
		return true
	default:
		return false
	}
}

// Text reports whether applications can use key for text: the key is legal, not reserved
// and not binary.
func Text(key string) bool { return Legal(key) && !Reserved(key) && !Binary(key) }
