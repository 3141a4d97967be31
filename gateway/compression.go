package gateway

import (
	"bytes"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// receiving is what a side receives.
type receiving bool

const (
	requests  receiving = true
	responses receiving = false
)

// String returns the name of one message.
func (r receiving) String() string {
	if r == requests {
		return "request"
	}
	return "response"
}

// decompress returns a message after decompression. The codes of errors are those of grpc-go.
func decompress(data []byte, name string, limit int, side receiving) ([]byte, error) {
	if name == "" || name == encoding.Identity {
		return nil, status.Errorf(codes.Internal,
			"gateway: a %s is compressed, and its grpc-encoding is %q", side, name)
	}
	compressor := encoding.GetCompressor(name)
	if compressor == nil {
		code := codes.Internal
		if side == requests {
			code = codes.Unimplemented
		}
		return nil, status.Errorf(code, "gateway: a %s has the grpc-encoding %.100q; want gzip, or none, "+
			"since messages of the method are decoded", side, name)
	}
	from, err := compressor.Decompress(bytes.NewReader(data))
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(from, int64(limit)+1))
	}
	switch {
	case err != nil:
		return nil, status.Errorf(codes.Internal, "gateway: cannot decompress a %s: %v", side, err)
	case len(plain) > limit:
		return nil, status.Errorf(codes.ResourceExhausted,
			"gateway: a %s is larger than max after decompression (%d)", side, limit)
	}
	return plain, nil
}

// decompressible returns the names of a grpc-accept-encoding whose messages can be decoded.
func decompressible(accepted string) string {
	var names []string
	for name := range strings.SplitSeq(accepted, ",") {
		if name = strings.TrimSpace(name); name == encoding.Identity || encoding.GetCompressor(name) != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
