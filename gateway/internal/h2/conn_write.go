package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// control is a queued frame that needs no credit.
type control struct {
	kind     kind
	reply    bool // answers a frame of the peer
	end      bool
	id       uint32
	stream   *Stream // of sendHeaders and sendEnd
	n        uint32
	code     http2.ErrCode
	text     string
	ping     [8]byte
	settings []http2.Setting
	fields   span // of Conn.fields
}

// span is a part of a list.
type span struct{ begin, end int }

type kind int

const (
	sendPreface kind = iota
	sendSettings
	sendSettingsAck
	sendTableSize // not a frame: sets the size of the encoder's table
	sendUpdate
	sendPing
	sendPong
	sendGoAway
	sendReset
	sendHeaders
	sendEnd // an empty DATA frame with END_STREAM
)

// maxControl is the largest number of queued frames with which Open opens streams.
const maxControl = 4096

// push queues a frame.
func (c *Conn) push(f control) {
	if c.err != nil {
		return // GOAWAY was the last frame
	}
	if f.reply {
		c.replies++
	}
	c.control = append(c.control, f)
	c.wakeWriter()
}

// pushHeaders queues a header list. It copies the fields.
func (c *Conn) pushHeaders(s *Stream, fields []hpack.HeaderField, end bool) {
	if c.err != nil {
		return
	}
	if c.fields == nil {
		c.fields, _ = fieldLists.Get().(*[]hpack.HeaderField)
	}
	begin := len(*c.fields)
	*c.fields = append(*c.fields, fields...)
	c.push(control{kind: sendHeaders, id: s.id, stream: s, fields: span{begin, len(*c.fields)}, end: end})
}

// releaseFields releases the header lists that have been encoded, when they are all or most of the
// lists.
func (c *Conn) releaseFields() {
	if c.fields == nil {
		return
	}
	if len(c.control) > 0 {
		c.compactFields()
		return
	}
	if cap(*c.fields) <= maxFields {
		clear(*c.fields)
		*c.fields = (*c.fields)[:0]
		fieldLists.Put(c.fields)
	}
	c.fields = nil
}

// compactFields removes the header lists that have been encoded, if the others are less than half.
func (c *Conn) compactFields() {
	all := *c.fields
	first := len(all)
	if i := slices.IndexFunc(c.control, func(f control) bool { return f.kind == sendHeaders }); i >= 0 {
		first = c.control[i].fields.begin
	}
	if first <= len(all)/2 {
		return
	}
	for i := range c.control {
		c.control[i].fields.begin -= first
		c.control[i].fields.end -= first
	}
	n := copy(all, all[first:])
	clear(all[n:])
	*c.fields = all[:n]
}

// maxFields is the largest capacity of a list of fieldLists that is kept.
const maxFields = 4096

// fieldLists has the lists of header fields of connections that have none to send.
//
//nolint:gochecknoglobals // a pool of all connections
var fieldLists = sync.Pool{New: func() any { return new([]hpack.HeaderField) }}

// wakeWriter wakes the writer, or leaves that to a goroutine that has corked the connection.
func (c *Conn) wakeWriter() {
	if c.corked > 0 {
		c.unwoken = true
		return
	}
	wake(c.wake)
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// smallWrite is the size below which the writer looks for more before a system call.
const smallWrite = 1 << 10

// buffers has those of writers that have nothing to write, so that idle connections have none.
//
//nolint:gochecknoglobals // a pool of all connections
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// toBuffer writes to the connection's buffer.
type toBuffer struct{ c *Conn }

func (w toBuffer) Write(p []byte) (int, error) { return w.c.buf.Write(p) }

// await waits until there may be something to write. The buffer is empty.
func (c *Conn) await() {
	select {
	case <-c.wake:
		return
	default:
	}
	if c.buf.Cap() <= 2*writeBuffer {
		buffers.Put(c.buf)
	}
	c.buf = nil
	<-c.wake
	c.buf, _ = buffers.Get().(*bytes.Buffer)
}

// write is the writer.
func (c *Conn) write() {
	defer close(c.written)
	c.buf = new(bytes.Buffer)
	yielded := false
	for {
		c.mu.Lock()
		more := c.fill()
		over := c.err != nil && !more
		c.mu.Unlock()
		c.reportSent()
		if n := c.buf.Len(); n > 0 && n < smallWrite && !yielded {
			// Goroutines that are ready to run probably have more to send.
			yielded = true
			runtime.Gosched()
			continue
		}
		yielded = false
		if c.buf.Len() == 0 {
			if over {
				break
			}
			c.await()
			continue
		}
		_, err := c.nc.Write(c.buf.Bytes())
		c.buf.Reset()
		if c.buf.Cap() > 2*writeBuffer {
			c.buf = new(bytes.Buffer)
		}
		if err != nil {
			c.fail(err)
			break
		}
	}
	c.closeAfterWriting()
}

// lingering is how long a drained connection may wait for the peer to close it.
const lingering = 500 * time.Millisecond

// closeAfterWriting closes the network connection. After a drain it closes only this side's
// direction first: TCP would reset the connection if the peer has sent something that was not
// read, and the peer could lose the last response.
func (c *Conn) closeAfterWriting() {
	c.mu.Lock()
	drained := errors.Is(c.err, ErrDraining)
	c.mu.Unlock()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if ok && drained && half.CloseWrite() == nil {
		time.AfterFunc(lingering, func() { _ = c.nc.Close() })
		return // the reader goes on until the peer closes
	}
	_ = c.nc.Close()
}

// fill encodes queued frames until the buffer is full. It returns whether frames are left
// that can be sent.
func (c *Conn) fill() (more bool) {
	n := 0
	for ; n < len(c.control) && c.buf.Len() < writeBuffer; n++ {
		c.encode(&c.control[n])
		c.control[n] = control{}
	}
	c.control = c.control[:copy(c.control, c.control[n:])]
	c.releaseFields()
	c.encodedReplies()
	if len(c.control) < maxControl {
		c.released()
	}
	if cap(c.control) > 1024 && len(c.control) == 0 {
		c.control = nil
	}
	if c.err != nil {
		return len(c.control) > 0
	}
	for c.ready.len() > 0 && c.credit > 0 && c.buf.Len() < writeBuffer {
		s := c.ready.pop()
		s.queued = false
		c.sendData(s)
	}
	return len(c.control) > 0 || c.ready.len() > 0 && c.credit > 0
}

// reportSent reports the streams whose data was encoded.
func (c *Conn) reportSent() {
	for i, events := range c.sent {
		events.Sent()
		c.sent[i] = nil
	}
	c.sent = c.sent[:0]
}

func (c *Conn) encode(f *control) {
	if f.reply {
		c.replies--
	}
	switch f.kind {
	case sendPreface:
		c.buf.WriteString(http2.ClientPreface)
	case sendSettings:
		_ = c.out.WriteSettings(f.settings...)
	case sendSettingsAck:
		_ = c.out.WriteSettingsAck()
	case sendTableSize:
		c.enc.SetMaxDynamicTableSize(f.n)
	case sendUpdate:
		_ = c.out.WriteWindowUpdate(f.id, f.n)
	case sendPing, sendPong:
		_ = c.out.WritePing(f.kind == sendPong, f.ping)
	case sendGoAway:
		_ = c.out.WriteGoAway(f.id, f.code, []byte(f.text))
	case sendReset:
		_ = c.out.WriteRSTStream(f.id, f.code)
	case sendHeaders:
		c.encodeHeaders(f.id, (*c.fields)[f.fields.begin:f.fields.end], f.end)
	case sendEnd:
		_ = c.out.WriteData(f.id, true, nil)
	}
	if f.end {
		f.stream.sent()
	}
}

func (c *Conn) encodeHeaders(id uint32, fields []hpack.HeaderField, end bool) {
	c.flood.pings.used = 0
	c.hpb.Reset()
	for _, f := range fields {
		_ = c.enc.WriteField(f)
	}
	block := c.hpb.Bytes()
	part := block[:min(len(block), c.peer.frameSize)]
	block = block[len(part):]
	_ = c.out.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: len(block) == 0,
	})
	for len(block) > 0 {
		part = block[:min(len(block), c.peer.frameSize)]
		block = block[len(part):]
		_ = c.out.WriteContinuation(id, len(block) == 0, part)
	}
}

// sendData encodes one frame of a stream's data, and the stream's end if it follows.
func (c *Conn) sendData(s *Stream) {
	n := min(s.outLen, s.credit, c.credit, c.peer.frameSize, 1<<14)
	if n <= 0 || s.err != nil {
		return
	}
	c.flood.pings.used = 0
	s.credit -= n
	c.credit -= n
	s.outLen -= n
	c.queued -= n
	end := s.outLen == 0 && s.sending == ending && s.trailer == nil
	var head [9]byte
	binary.BigEndian.PutUint32(head[:], uint32(n)<<8|uint32(http2.FrameData))
	if end {
		head[4] = byte(http2.FlagDataEndStream)
	}
	binary.BigEndian.PutUint32(head[5:], s.id)
	c.buf.Write(head[:])
	for n > 0 {
		part := s.out[0][:min(n, len(s.out[0]))]
		c.buf.Write(part)
		n -= len(part)
		if s.out[0] = s.out[0][len(part):]; len(s.out[0]) == 0 {
			s.out[0] = nil
			s.out = s.out[1:]
		}
	}
	if s.outLen > 0 {
		s.schedule()
		return
	}
	s.out = s.firstOut[:0]
	wake(s.canSend)
	if s.reportSent && s.events != nil {
		s.reportSent = false
		c.sent = append(c.sent, s.events)
	}
	if s.sending == ending {
		if !end {
			c.encodeHeaders(s.id, s.trailer, true)
			s.trailer = nil
		}
		s.sent()
	}
}

// queue has the streams that take turns.
type queue struct {
	streams []*Stream
	head    int
}

func (q *queue) len() int { return len(q.streams) - q.head }

func (q *queue) push(s *Stream) {
	if q.head > 64 && q.head > len(q.streams)/2 {
		n := copy(q.streams, q.streams[q.head:])
		clear(q.streams[n:])
		q.streams, q.head = q.streams[:n], 0
	}
	q.streams = append(q.streams, s)
}

func (q *queue) pop() *Stream {
	s := q.streams[q.head]
	q.streams[q.head] = nil
	q.head++
	if q.head == len(q.streams) {
		q.streams, q.head = q.streams[:0], 0
	}
	return s
}
