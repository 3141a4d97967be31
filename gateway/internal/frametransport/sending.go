package frametransport

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// sending is the requests of a call to the upstream, and its stream. If the upstream has not
// processed the stream (REFUSED_STREAM, or GOAWAY with a lower id), the call is sent once
// more on a new stream, as gRFC A6 permits for any method. That is possible as long as the
// upstream has sent nothing and the requests are small enough to be kept.
type sending struct {
	ctx      context.Context //nolint:containedctx // that of the call
	upstream *Upstream
	request  transport.Request

	mu     sync.Mutex // guards the following
	stream *h2.Stream
	at     *endpoint // of the stream
	kept   keptData  // the requests so far
	size   int       // of kept, in bytes
	ended  bool      // CloseSend was called
	final  bool      // the stream is not replaced
}

// maxKept is the number of bytes of requests up to which a call can be sent once more.
const maxKept = 16 << 10

// keptData is data that is kept. The pieces of many small frames have larger arrays than they need, so that only the
// first one is kept as it is, which is all of most calls. The others are copied.
type keptData struct{ first, more []byte }

// add adds data, which must not be modified afterwards.
func (k *keptData) add(pieces [][]byte) {
	for _, piece := range pieces {
		if k.first == nil {
			k.first = piece
		} else {
			k.more = append(k.more, piece...)
		}
	}
}

// pieces returns all data.
func (k *keptData) pieces() (all [][]byte) {
	for _, piece := range [...][]byte{k.first, k.more} {
		if len(piece) > 0 {
			all = append(all, piece)
		}
	}
	return all
}

func (s *sending) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	s.stream.Close()
}

// keep keeps a request and returns the stream to send it on. queue are the pieces of a message
// that need not wait for the upstream: they are kept in any case, and few.
func (s *sending) keep(msg *transport.Message) (stream *h2.Stream, queue [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final {
		return s.stream, nil
	}
	if msg.Partial() || s.size+msg.Len() > maxKept {
		s.settle()
		return s.stream, nil
	}
	pieces := parts(msg)
	s.size += msg.Len() + prefixLen
	s.kept.add(pieces)
	if s.size <= wholeSize {
		queue = pieces
	}
	return s.stream, queue
}

// settle makes the stream the final one. The caller holds the lock.
func (s *sending) settle() { s.final, s.kept, s.request = true, keptData{}, transport.Request{} }

// Send is [transport.Outbound.Send].
func (o *outbound) Send(msg *transport.Message) error {
	stream, queue := o.keep(msg)
	var err error
	if queue != nil {
		err = stream.Queue(queue...)
	} else {
		err = send(o.ctx, stream, msg)
	}
	if err == nil || errors.Is(err, transport.ErrSource) {
		return err
	}
	if _, again := o.replace(o.ctx, stream, err); again {
		return nil // sent with the other requests
	}
	return io.EOF
}

// CloseSend is [transport.Outbound.CloseSend].
func (s *sending) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	_ = s.stream.End() // an error means that the call has ended, or will be sent once more
	return nil
}

// awaitHeader waits for the response header. It returns the stream that has it.
func (s *sending) awaitHeader(ctx context.Context) (*h2.Stream, []hpack.HeaderField, error) {
	s.mu.Lock()
	stream := s.stream
	s.mu.Unlock()
	for {
		fields, err := stream.Header(ctx)
		if err != nil {
			if other, again := s.replace(ctx, stream, err); again {
				stream = other
				continue
			}
		}
		s.mu.Lock()
		s.settle()
		s.mu.Unlock()
		return stream, fields, err
	}
}

// replace sends the call once more if err says that the upstream has not processed failed.
// The other goroutine may have done so. It returns whether the call goes on with stream.
func (s *sending) replace(ctx context.Context, failed *h2.Stream, err error) (stream *h2.Stream, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != failed {
		return s.stream, true
	}
	if s.final || !errors.Is(err, h2.ErrUnprocessed) || failed.Answered() {
		return nil, false
	}
	request, requests := s.request, s.kept.pieces()
	s.settle() // once is enough: the upstream may be unable to serve the call
	stream, at, err := s.upstream.open(ctx, s.ctx, request)
	if err != nil {
		return nil, false
	}
	failed.Close()
	s.stream, s.at = stream, at
	if len(requests) > 0 {
		_ = stream.Write(ctx, requests...) // the goroutine that receives gets the reason of an error
	}
	if s.ended {
		_ = stream.End()
	}
	return stream, true
}
