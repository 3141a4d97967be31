package frametransport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// prefixLen is the size of a message's prefix: a flag and the length.
const prefixLen = 5

// wholeSize is the size up to which a message is received before it is passed on. The end of
// a call within a larger message reaches the receiver as an incomplete message.
const wholeSize = 4 << 10

// receiver receives the messages of one direction of a stream. It is the rest of the
// current message.
type receiver struct {
	ctx    context.Context //nolint:containedctx // that of the call
	stream *h2.Stream
	limit  int // of message sizes
	left   int // bytes of the current message
}

var _ transport.Rest = (*receiver)(nil)

// errTruncated is the error if a direction ends within a message.
var errTruncated = status.Error(codes.Internal, "gateway: the stream ended within a message")

// next receives a message, or its beginning. It returns io.EOF at the end of the direction.
func (r *receiver) next(msg *transport.Message) error {
	msg.Free()
	for r.left > 0 { // of the message before, which was not sent
		part, err := r.Next()
		if err != nil {
			return err
		}
		r.Passed(len(part))
	}
	prefix, err := r.prefix()
	if err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(prefix[1:]))
	switch {
	case prefix[0] > 1:
		return status.Errorf(codes.Internal, "gateway: the flag of a message is %d; want 0 or 1", prefix[0])
	case size > int64(r.limit):
		return status.Errorf(codes.ResourceExhausted,
			"gateway: a message has %d bytes; the limit is %d", size, r.limit)
	}
	msg.Compressed = prefix[0] == 1
	r.left = int(size)
	msg.SetRest(r)
	if size <= wholeSize {
		return sourceError(msg.Load())
	}
	return nil
}

// sourceError returns the reason of an error of Load.
func sourceError(err error) error {
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed.error
	}
	return errTruncated
}

// failure is an error of the stream, with its type.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

func (r *receiver) prefix() (prefix [prefixLen]byte, err error) {
	for n := 0; n < prefixLen; {
		part, err := r.stream.Next(r.ctx, prefixLen-n)
		if errors.Is(err, io.EOF) && n > 0 {
			err = errTruncated
		}
		if err != nil {
			return prefix, err
		}
		n += copy(prefix[n:], part)
		r.stream.Credit(len(part))
	}
	return prefix, nil
}

// Len returns the number of bytes of the message that were not received yet.
func (r *receiver) Len() int { return r.left }

// Next receives bytes of the current message.
func (r *receiver) Next() ([]byte, error) {
	part, err := r.stream.Next(r.ctx, r.left)
	if errors.Is(err, io.EOF) {
		err = errTruncated
	}
	if err != nil {
		return nil, &failure{err}
	}
	r.left -= len(part)
	return part, nil
}

// Passed returns credit to the sender.
func (r *receiver) Passed(n int) { r.stream.Credit(n) }

// send sends a message. An error of the message's own stream wraps transport.ErrSource.
func send(ctx context.Context, stream *h2.Stream, msg *transport.Message) error {
	size := msg.Len()
	if uint64(size) > 1<<32-1 {
		return status.Errorf(codes.Internal, "gateway: a message has %d bytes; the limit is 4 GiB", size)
	}
	prefix := make([]byte, prefixLen)
	if msg.Compressed {
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(size))
	parts := append(make([][]byte, 0, 3), prefix)
	for _, b := range msg.Data {
		parts = append(parts, stable(b))
	}
	rest := msg.Rest()
	for first := true; first || rest != nil && rest.Len() > 0; first = false {
		taken := 0
		if rest != nil && rest.Len() > 0 {
			part, err := rest.Next()
			if err != nil {
				return fmt.Errorf("%w: %w", transport.ErrSource, err)
			}
			parts, taken = append(parts, part), len(part)
		}
		if err := stream.Write(ctx, parts...); err != nil {
			return err
		}
		if taken > 0 {
			rest.Passed(taken)
		}
		parts = parts[:0]
	}
	return nil
}

// stableAll returns buffers which stay valid after those of data were freed.
func stableAll(data mem.BufferSlice) mem.BufferSlice {
	kept := make(mem.BufferSlice, len(data))
	for i, b := range data {
		kept[i] = mem.SliceBuffer(stable(b))
	}
	return kept
}

// stable returns the bytes of a buffer, which stay valid after the buffer was freed.
func stable(b mem.Buffer) []byte {
	if _, ok := b.(mem.SliceBuffer); ok {
		return b.ReadOnlyData()
	}
	return append([]byte(nil), b.ReadOnlyData()...)
}
