package transport

import (
	"errors"

	"google.golang.org/grpc/mem"
)

// Message is one message as its sender encoded it, without length prefix. Its buffers have
// reference counts. The caller of Recv owns the buffers until it calls [Message.Free]. Send
// does not take ownership.
type Message struct {
	// Data is the message. While [Message.Partial] reports true, Data is only its beginning.
	// Messages that hooks receive are complete.
	Data mem.BufferSlice
	// Compressed reports whether Data is compressed, with the grpc-encoding of its side.
	Compressed bool

	rest   Rest
	framed []byte // see SetFramed
	prefix int    // of framed
}

// Rest is the part of a message that the transport has not received yet. It is valid until
// the next message is received.
type Rest interface {
	// Len returns the number of bytes.
	Len() int
	// Next waits for bytes and returns them. The caller owns them.
	Next() ([]byte, error)
	// Passed lets the sender send n further bytes, after the caller has passed on as much.
	Passed(n int)
}

// ErrSource is wrapped by the errors of Send and [Message.Load] if the rest of the message
// could not be received.
var ErrSource = errors.New("the rest of the message was not received")

// SetRest sets the part of the message that follows Data.
func (m *Message) SetRest(rest Rest) { m.rest = rest }

// SetFramed sets the message to framed, which begins with a prefix of the given length, as it
// was received.
func (m *Message) SetFramed(framed []byte, prefix int, compressed bool) {
	m.framed, m.prefix, m.Compressed = framed, prefix, compressed
	m.Data = append(m.Data[:0], mem.SliceBuffer(framed[prefix:]))
}

// Framed returns the message with its prefix as it was received, or nil if it is not known or
// the message has been changed.
func (m *Message) Framed() []byte {
	if m.framed == nil || m.rest != nil || len(m.Data) != 1 {
		return nil
	}
	same, ok := m.Data[0].(mem.SliceBuffer)
	switch {
	case !ok, m.prefix+len(same) != len(m.framed), m.Compressed != (m.framed[0] == 1):
		return nil
	case len(same) > 0 && &same[0] != &m.framed[m.prefix]:
		return nil
	}
	return m.framed
}

// Rest returns the part of the message that follows Data, or nil.
func (m *Message) Rest() Rest { return m.rest }

// Partial reports whether Load has anything to receive.
func (m *Message) Partial() bool { return m.rest != nil }

// Len returns the size of the message in bytes. Metrics and logs use it.
func (m *Message) Len() int {
	n := m.Data.Len()
	if m.rest != nil {
		n += m.rest.Len()
	}
	return n
}

// ReplayCopy returns a copy of the message with its own bytes, and its size, for calls that may be repeated. It
// returns nil if the message is not complete.
func (m *Message) ReplayCopy() (clone any, size int) {
	if m.Partial() {
		return nil, 0
	}
	return m.Copy(), m.Len()
}

// Copy returns a copy of a complete message with its own bytes. It needs no Free.
func (m *Message) Copy() *Message {
	return &Message{Data: mem.BufferSlice{mem.SliceBuffer(m.Data.Materialize())}, Compressed: m.Compressed}
}

// Load receives the rest of the message, so that Data has all of it.
func (m *Message) Load() error {
	if m.rest == nil {
		return nil
	}
	for m.rest.Len() > 0 {
		part, err := m.rest.Next()
		if err != nil {
			return errors.Join(ErrSource, err)
		}
		m.Data = append(m.Data, mem.SliceBuffer(part))
		m.rest.Passed(len(part))
	}
	m.rest = nil
	return nil
}

// Free releases the buffers. The message is then empty and can be reused.
func (m *Message) Free() {
	m.Data.Free()
	*m = Message{}
}
