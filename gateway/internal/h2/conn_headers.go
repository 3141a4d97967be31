package h2

import (
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

func (c *Conn) onHeaders(f *http2.MetaHeadersFrame) error {
	if len(f.Fields) == 0 && !f.StreamEnded() {
		c.mu.Lock()
		err := c.useless()
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	s := c.streams[f.StreamID]
	if s != nil {
		defer c.mu.Unlock()
		return s.onHeaders(f)
	}
	if !c.server {
		defer c.mu.Unlock()
		if c.idle(f.StreamID) {
			return protocol("HEADERS of a stream that does not exist")
		}
		return nil
	}
	s, err := c.openedByPeer(f)
	rejected := s == nil && err == nil && c.phase != draining && c.err == nil
	c.mu.Unlock()
	if s != nil {
		c.toAccept = append(c.toAccept, s)
	} else if rejected && c.config.Rejected != nil {
		c.config.Rejected()
	}
	return err
}

// maxAbandoned is the number of streams that a client has reset and whose handlers have not
// returned, from which on further streams are rejected: a client that opens and resets streams in
// turn would otherwise have as many handlers as streams.
const maxAbandoned = 100

// openedByPeer returns the stream that a client has opened, or nil.
func (c *Conn) openedByPeer(f *http2.MetaHeadersFrame) (*Stream, error) {
	id := f.StreamID
	if id%2 == 0 {
		return nil, protocol("a client's stream with an even number")
	}
	if id <= c.lastID {
		return nil, connError{code: http2.ErrCodeStreamClosed, text: "HEADERS of a stream that is closed"}
	}
	if c.phase == draining || c.err != nil {
		return nil, nil //nolint:nilerr,nilnil // above the id in GOAWAY: ignored
	}
	c.lastID = id
	if c.replies >= maxReplies {
		return nil, calm(limits.Replies, "too many streams that end early")
	}
	if c.live >= int(c.config.MaxStreams) || c.abandoned >= maxAbandoned {
		return nil, c.rejectStream(id, http2.ErrCodeRefusedStream)
	}
	s := c.newStream(id)
	s.hasHeader = true
	s.header, s.oversized = c.bounded(f)
	if f.StreamEnded() {
		s.receivedEnd()
	}
	return s, nil
}

// bounded returns a header list. If it is above the limit, it returns the fields that say what
// it is about, with the beginning of their values.
func (c *Conn) bounded(f *http2.MetaHeadersFrame) (fields []hpack.HeaderField, oversized bool) {
	size := uint32(0)
	for _, field := range f.Fields {
		size += field.Size()
	}
	if !f.Truncated && size <= c.config.HeaderListSize {
		return f.Fields, false
	}
	fields = make([]hpack.HeaderField, 0, 6)
	for _, field := range f.Fields {
		switch field.Name {
		case ":status", ":method", ":path", "content-type", "grpc-status", "grpc-message":
			if !slices.ContainsFunc(fields, func(f hpack.HeaderField) bool { return f.Name == field.Name }) {
				value := strings.Clone(field.Value[:min(len(field.Value), 1<<10)])
				fields = append(fields, hpack.HeaderField{Name: field.Name, Value: value})
			}
		}
	}
	return fields, true
}
