package frametransport

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// The keys of gRPC's headers and trailers (PROTOCOL-HTTP2.md).
const (
	keyContentType    = "content-type"
	keyUserAgent      = "user-agent"
	keyTimeout        = "grpc-timeout"
	keyEncoding       = "grpc-encoding"
	keyAcceptEncoding = "grpc-accept-encoding"
	keyPrevious       = "grpc-previous-rpc-attempts"
	keyStatus         = "grpc-status"
	keyMessage        = "grpc-message"
	keyDetails        = "grpc-status-details-bin"
)

// contentType is the content type of gRPC. A subtype may follow.
const contentType = "application/grpc"

// subtype returns the subtype of a content type, and whether it is one of gRPC.
func subtype(value string) (sub string, ok bool) {
	rest, ok := strings.CutPrefix(strings.ToLower(value), contentType)
	if !ok || rest != "" && rest[0] != '+' && rest[0] != ';' {
		return "", false
	}
	if rest == "" {
		return "", true
	}
	return rest[1:], true
}

// own reports whether the transport itself handles a key, so that it is not in metadata.
func own(key string) bool {
	switch key {
	case keyTimeout, keyEncoding, keyStatus, keyMessage, "grpc-message-type", "te":
		return true
	default:
		return strings.HasPrefix(key, ":")
	}
}

// appendMetadata adds metadata to a header list, without keys that the transport handles.
func appendMetadata(fields []hpack.HeaderField, md metadata.MD) []hpack.HeaderField {
	for key, values := range md {
		if own(key) || key == keyContentType || key == keyDetails {
			continue
		}
		binary := metadatakey.Binary(key)
		for _, v := range values {
			if binary {
				v = base64.RawStdEncoding.EncodeToString([]byte(v))
			}
			fields = append(fields, hpack.HeaderField{Name: key, Value: v})
		}
	}
	return fields
}

// checkMetadata returns an error for a field that addMetadata cannot add.
func checkMetadata(f hpack.HeaderField) error {
	if !metadatakey.Binary(f.Name) {
		return nil
	}
	return addMetadata(make(metadata.MD, 1), f)
}

// addMetadata adds a received field to metadata. Binary values are decoded; one field may
// have several, with commas in between.
func addMetadata(md metadata.MD, f hpack.HeaderField) error {
	if !metadatakey.Binary(f.Name) {
		md[f.Name] = append(md[f.Name], f.Value)
		return nil
	}
	for v := range strings.SplitSeq(f.Value, ",") {
		raw, err := decodeBinary(v)
		if err != nil {
			return fmt.Errorf("the value of %s is not base64", f.Name)
		}
		md[f.Name] = append(md[f.Name], raw)
	}
	return nil
}

// decodeBinary decodes base64 with or without padding.
func decodeBinary(v string) (string, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(v), "="))
	return string(raw), err
}

// timeoutUnits are the units of grpc-timeout, the smallest first.
const timeoutUnits = "numSMH"

// timeoutUnit returns the duration of one of them.
func timeoutUnit(i int) time.Duration {
	return [len(timeoutUnits)]time.Duration{
		time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour,
	}[i]
}

// maxTimeout is the largest number in grpc-timeout: it has at most 8 digits.
const maxTimeout = 99_999_999

var errTimeout = errors.New("malformed grpc-timeout")

func parseTimeout(value string) (time.Duration, error) {
	n := len(value) - 1
	if n < 1 || n > 8 {
		return 0, errTimeout
	}
	number, err := strconv.ParseUint(value[:n], 10, 63)
	if err != nil {
		return 0, errTimeout
	}
	i := strings.IndexByte(timeoutUnits, value[n])
	if i < 0 {
		return 0, errTimeout
	}
	const longest = 1<<63 - 1
	unit := timeoutUnit(i)
	if number > uint64(longest/unit) {
		return longest, nil
	}
	return time.Duration(number) * unit, nil
}

// formatTimeout rounds down, so that the upstream has no more time than the client.
func formatTimeout(d time.Duration) string {
	d = max(d, 1)
	for i := range timeoutUnits {
		if n := d / timeoutUnit(i); n <= maxTimeout {
			return strconv.FormatInt(int64(n), 10) + timeoutUnits[i:i+1]
		}
	}
	return strconv.Itoa(maxTimeout) + "H"
}

// encodeMessage is the percent-encoding of grpc-message.
func encodeMessage(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] >= ' ' && s[i] <= '~' && s[i] != '%'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decodeMessage is its inverse. It keeps what is not an encoding.
func decodeMessage(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
