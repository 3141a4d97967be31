package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

func TestForwardedMetadata(t *testing.T) {
	tests := []struct {
		name string
		md   metadata.MD
		want metadata.MD
	}{
		{"plain", metadata.Pairs("a", "1", "a", "2"), metadata.Pairs("a", "1", "a", "2")},
		{"binary", metadata.Pairs("a-bin", "\x00\xff"), metadata.Pairs("a-bin", "\x00\xff")},
		{"pseudo headers", metadata.MD{":authority": {"x"}, ":path": {"y"}}, metadata.MD{}},
		{
			"reserved for the connection",
			metadata.Pairs("connection", "a", "te", "trailers", "user-agent", "u", "host", "h", "upgrade", "x"),
			metadata.MD{},
		},
		{"reserved for the protocol", metadata.Pairs("grpc-status", "0", "grpc-timeout", "1S", "grpc-anything", "x"), metadata.MD{}},
		{"illegal keys", metadata.MD{"": {"x"}, "a b": {"x"}, "a!": {"x"}, "ü": {"x"}, "A": {"x"}}, metadata.MD{}},
		{"illegal values", metadata.MD{"a": {"1", "\t", "2", "ü", "3"}}, metadata.MD{"a": {"1", "2", "3"}}},
		{"only illegal values", metadata.MD{"a": {"ü"}}, metadata.MD{"a": {}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, forwarded(tt.md, requestReserved)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReservedNames(t *testing.T) {
	tests := []struct {
		key               string
		request, response bool
	}{
		{"grpc-trace-bin", true, false},
		{"grpc-tags-bin", true, false},
		{"grpc-retry-pushback-ms", false, true},
		{"grpc-server-stats-bin", false, true},
		{"grpc-previous-rpc-attempts", false, false},
		{"grpc-status-details-bin", false, false}, // forwarded with the status
		{"grpc-message-type", false, false},
	}
	for _, tt := range tests {
		md := func() metadata.MD { return metadata.Pairs(tt.key, "x") }
		_, request := forwarded(md(), requestReserved)[tt.key]
		_, response := forwarded(md(), responseReserved)[tt.key]
		if request != tt.request || response != tt.response {
			t.Errorf("%s passes in requests: %v, in responses: %v", tt.key, request, response)
		}
	}
}

// All forwarded metadata is legal and a part of the incoming metadata.
func FuzzForwarded(f *testing.F) {
	f.Add("a", "1", "2")
	f.Add("a-bin", "\x00", "\xff")
	f.Add("grpc-x", "\t", "ü")
	f.Fuzz(func(t *testing.T, key, first, second string) {
		given := []string{first, second, first}
		for k, values := range forwarded(metadata.MD{key: slices.Clone(given)}, requestReserved) {
			if k != key || metadatakey.OfConnection(k) || strings.HasPrefix(k, ":") || strings.HasPrefix(k, "grpc-") && !requestReserved(k) {
				t.Fatalf("%q passed for %q", k, key)
			}
			if binary := strings.HasSuffix(k, "-bin"); binary && !slices.Equal(values, given) {
				t.Fatalf("binary values %q became %q", given, values)
			} else if !binary && !slices.Equal(values, legal(key, given)) {
				t.Fatalf("values %q became %q", given, values)
			}
		}
	})
}
