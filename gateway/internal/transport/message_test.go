package transport

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
)

// TestFramed: a message is sent with the prefix that it was received with, unless it has been
// changed since.
func TestFramed(t *testing.T) {
	framed := []byte{0, 0, 0, 0, 2, 'h', 'i'}
	for _, tt := range []struct {
		name   string
		change func(m *Message)
		same   bool
	}{
		{"as received", func(*Message) {}, true},
		{"another buffer with the same bytes", func(m *Message) { m.Data = mem.BufferSlice{mem.SliceBuffer("hi")} }, false},
		{"two buffers", func(m *Message) { m.Data = append(m.Data, mem.SliceBuffer("!")) }, false},
		{"shorter", func(m *Message) { m.Data[0] = m.Data[0].(mem.SliceBuffer)[:1] }, false},
		{"no buffer", func(m *Message) { m.Data = nil }, false},
		{"compressed", func(m *Message) { m.Compressed = true }, false},
		{"freed", func(m *Message) { m.Free() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			m.SetFramed(framed, 5, false)
			if got := string(m.Data.Materialize()); got != "hi" {
				t.Fatalf("the message is %q, want %q", got, "hi")
			}
			tt.change(&m)
			if got := m.Framed(); bytes.Equal(got, framed) != tt.same {
				t.Errorf("with its prefix it is %q; want it as received: %t", got, tt.same)
			}
		})
	}
}

// TestFramedEmpty: an empty message has no first byte to compare.
func TestFramedEmpty(t *testing.T) {
	var m Message
	m.SetFramed([]byte{1, 0, 0, 0, 0}, 5, true)
	if m.Framed() == nil || m.Len() != 0 || !m.Compressed {
		t.Errorf("%+v; want an empty compressed message as received", m)
	}
}
