package frametransport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
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

	time   time.Duration // for the bytes of a message to arrive; 0 is any
	waited time.Duration // for those of the current message, which has begun
	taken  int           // bytes of the current message, with its prefix
	met    func(error)   // counts the limit of an error; nil leaves that to the caller
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
	if framed := r.stream.Take(r.wholeMessage); framed != nil {
		r.stream.Credit(len(framed))
		msg.SetFramed(framed, prefixLen, framed[0] == 1)
		return nil
	}
	prefix, err := r.prefix()
	if err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(prefix[1:]))
	if err := checkMessage(prefix[0], size, r.limit); err != nil {
		return r.exceeded(err)
	}
	msg.Compressed = prefix[0] == 1
	r.left = int(size)
	msg.SetRest(r)
	if size <= wholeSize {
		return sourceError(msg.Load())
	}
	return nil
}

// checkMessage returns why a message with a flag and a size cannot be passed on, or nil.
func checkMessage(flag byte, size int64, limit int) error {
	switch {
	case flag > 1:
		return status.Errorf(codes.Internal, "gateway: the flag of a message is %d; want 0 or 1", flag)
	case size > int64(limit):
		return &limits.Error{
			Limit: limits.MessageSize, Code: codes.ResourceExhausted,
			Message: fmt.Sprintf("gateway: a message has %d bytes; the limit is %d", size, limit),
		}
	default:
		return nil
	}
}

// wholeMessage returns the size of the message at the beginning of data, with its prefix, if it
// is valid and so small that it must be whole.
func (r *receiver) wholeMessage(data []byte) int {
	if len(data) < prefixLen || data[0] > 1 {
		return 0
	}
	size := binary.BigEndian.Uint32(data[1:])
	if size > wholeSize || int64(size) > int64(r.limit) {
		return 0
	}
	return prefixLen + int(size)
}

// take returns all whole messages that were received, with their prefixes, if they are small.
// The caller must return their credit.
func (r *receiver) take() (framed [][]byte, messages int) {
	if r.left > 0 {
		return nil, 0
	}
	many := func(data []byte) int {
		n := 0
		for {
			size := r.wholeMessage(data[n:])
			if size == 0 || n+size > len(data) {
				return n
			}
			n += size
			messages++
		}
	}
	for {
		piece := r.stream.Take(many)
		if piece == nil {
			return framed, messages
		}
		framed = append(framed, piece)
	}
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
	r.waited, r.taken = 0, 0
	for n := 0; n < prefixLen; {
		part, err := r.part(prefixLen - n)
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
	part, err := r.part(r.left)
	if errors.Is(err, io.EOF) {
		err = errTruncated
	}
	if err != nil {
		return nil, &failure{err}
	}
	r.left -= len(part)
	return part, nil
}

// leastRate is the number of bytes of a message for which the sender has a further second.
const leastRate = 1000

// slowMessage is the status message of a call whose client takes too much time for a message.
const slowMessage = "gateway: the client sends a message too slowly"

// part receives at most n bytes. Within a message it waits for as long as the sender may take
// for the message.
func (r *receiver) part(n int) ([]byte, error) {
	if r.time == 0 || r.taken == 0 || r.stream.Ready() {
		part, err := r.stream.Next(r.ctx, n)
		r.taken += len(part)
		return part, err
	}
	most := r.time + time.Duration(r.taken)*time.Second/leastRate - r.waited
	ctx, cancel := context.WithTimeoutCause(r.ctx, most, &limits.Error{
		Limit: limits.MessageTime, Code: codes.DeadlineExceeded,
		Message: slowMessage,
	})
	defer cancel()
	began := time.Now()
	part, err := r.stream.Next(ctx, n)
	r.waited += time.Since(began)
	r.taken += len(part)
	if slow, ok := errors.AsType[*limits.Error](context.Cause(ctx)); ok && err != nil && r.ctx.Err() == nil {
		err = r.exceeded(slow)
	}
	return part, err
}

// exceeded counts the limit of an error, if it is one, and returns the error.
func (r *receiver) exceeded(err error) error {
	if r.met != nil {
		r.met(err)
	}
	return err
}

// Passed returns credit to the sender.
func (r *receiver) Passed(n int) { r.stream.Credit(n) }

// parts returns a message in the pieces to send, which are never modified.
func parts(msg *transport.Message) [][]byte {
	if framed := msg.Framed(); framed != nil {
		return [][]byte{framed}
	}
	prefix := make([]byte, prefixLen)
	if msg.Compressed {
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(msg.Len()))
	parts := append(make([][]byte, 0, 2+len(msg.Data)), prefix)
	for _, b := range msg.Data {
		parts = append(parts, stable(b))
	}
	return parts
}

// send sends a message. An error of the message's own stream wraps transport.ErrSource.
func send(ctx context.Context, stream *h2.Stream, msg *transport.Message) error {
	size := msg.Len()
	if uint64(size) > 1<<32-1 {
		return status.Errorf(codes.Internal, "gateway: a message has %d bytes; the limit is 4 GiB", size)
	}
	parts := parts(msg)
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
		clear(parts) // otherwise its array would keep the first part until the end of the message
		parts = parts[:0]
	}
	return nil
}

// stable returns the bytes of a buffer, which stay valid after the buffer was freed.
func stable(b mem.Buffer) []byte {
	if _, ok := b.(mem.SliceBuffer); ok {
		return b.ReadOnlyData()
	}
	return append([]byte(nil), b.ReadOnlyData()...)
}
