package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// read is the reader. It returns why the connection is over.
func (c *Conn) read() error {
	if c.server {
		if err := c.readPreface(); err != nil {
			return c.late(err)
		}
	}
	defer c.deliver()
	for {
		f, err := c.readFrame(!c.started)
		if err == nil {
			err = c.handle(f)
		}
		if err := c.tolerate(err); err != nil {
			return err
		}
		if c.many {
			c.awaitReplies()
		}
		if !c.hasFrame() {
			c.deliver()
		}
	}
}

// frameHead is the size of a frame's header.
const frameHead = 9

func (c *Conn) readPreface() error {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.config.HandshakeTimeout))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.br, preface); err != nil {
		return err
	}
	if !bytes.Equal(preface, []byte(http2.ClientPreface)) {
		return protocol("the connection does not begin with the preface of HTTP/2")
	}
	return nil
}

// readFrame reads a frame or a header block. It waits for the first byte as long as it
// takes, unless hurry, and for the rest at most FrameTimeout.
func (c *Conn) readFrame(hurry bool) (http2.Frame, error) {
	if hurry {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.config.HandshakeTimeout))
	}
	if _, err := c.br.Peek(1); err != nil {
		return nil, err
	}
	if c.br.Buffered() < frameHead && !hurry {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.config.FrameTimeout))
		hurry = true
	}
	b, err := c.br.Peek(frameHead)
	if err != nil {
		return nil, err
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	block := b[3] == byte(http2.FrameHeaders) && b[4]&byte(http2.FlagHeadersEndHeaders) == 0
	if waits := block || c.br.Buffered() < frameHead+length; waits && !hurry {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.config.FrameTimeout))
		hurry = true
	}
	f, err := c.fr.ReadFrame()
	if headers, ok := f.(*http2.HeadersFrame); ok && err == nil {
		f, err = c.readHeaders(headers)
	}
	if hurry {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	c.frames.Add(1)
	return f, err
}

// late returns the error of a peer that takes too much time.
func (c *Conn) late(err error) error {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case !ok || !timeout.Timeout():
		return err
	case c.started:
		return calm(limits.Frame, "a frame took too long")
	default:
		return calm(limits.Handshake, "the preface and the first SETTINGS took too long")
	}
}

// tolerate resets a stream for an error of it, and returns other errors.
func (c *Conn) tolerate(err error) error {
	if wrong, ok := errors.AsType[http2.StreamError](err); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.server && wrong.StreamID%2 == 1 {
			c.lastID = max(c.lastID, wrong.StreamID)
		}
		if s := c.streams[wrong.StreamID]; s != nil {
			s.reset(wrong.Code)
			return nil
		}
		return c.rejectStream(wrong.StreamID, wrong.Code)
	}
	if code, ok := errors.AsType[http2.ConnectionError](err); ok {
		text := "a malformed frame"
		if detail := c.fr.ErrorDetail(); detail != nil {
			text = detail.Error()
		}
		return connError{code: http2.ErrCode(code), text: text}
	}
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return connError{code: http2.ErrCodeFrameSize, text: "a frame is larger than 16,384 bytes"}
	}
	return c.late(err)
}

func (c *Conn) handle(f http2.Frame) error {
	if !c.started {
		s, ok := f.(*http2.SettingsFrame)
		if !ok || s.IsAck() {
			return protocol("the first frame is not SETTINGS")
		}
		c.started = true
		defer close(c.settled)
		if c.config.Settled != nil {
			defer c.config.Settled()
		}
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.onData(f)
	case *http2.MetaHeadersFrame:
		return c.onHeaders(f)
	case *http2.PushPromiseFrame:
		return protocol("PUSH_PROMISE, which this side has disabled or may not receive")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.WindowUpdateFrame:
		return c.onWindowUpdate(f)
	case *http2.PingFrame:
		return c.onPing(f)
	case *http2.GoAwayFrame:
		c.onGoAway(f)
	case *http2.RSTStreamFrame:
		return c.onReset(f)
	default: // PRIORITY and unknown frames
		return c.useless()
	}
	return nil
}

// useless counts a frame that has no effect.
func (c *Conn) useless() error {
	if !c.flood.empty.take(time.Now()) {
		return calm(limits.EmptyFrames, "too many frames without effect")
	}
	return nil
}

// rejectStream resets a stream that the connection does not have.
func (c *Conn) rejectStream(id uint32, code http2.ErrCode) error {
	return c.reply(control{kind: sendReset, id: id, code: code})
}

// idle reports whether the stream with this id does not exist yet.
func (c *Conn) idle(id uint32) bool {
	if c.server {
		return id%2 == 0 || id > c.lastID
	}
	return id%2 == 0 || id >= c.nextID
}

func (c *Conn) onData(f *http2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, data := int(f.Length), f.Data()
	if n == 0 && !f.StreamEnded() {
		if err := c.useless(); err != nil {
			return err
		}
	}
	s := c.streams[f.StreamID]
	switch {
	case s == nil && c.idle(f.StreamID):
		return protocol("DATA of a stream that does not exist")
	case c.in.receive(n) != nil:
		return flowControl(errWindow.Error())
	case s == nil: // it has been reset
		c.taken(n)
		return nil
	case s.closed:
		c.taken(n)
		if f.StreamEnded() {
			s.receivedEnd()
		}
		return nil
	case s.received:
		c.taken(n)
		s.reset(http2.ErrCodeStreamClosed)
		return nil
	case !s.hasHeader:
		c.taken(n)
		s.reset(http2.ErrCodeProtocol)
		return nil
	case s.in.receive(n) != nil:
		c.taken(n)
		s.reset(http2.ErrCodeFlowControl)
		return nil
	}
	s.hold(data)
	c.adjustWindows()
	if padding := n - len(data); padding > 0 {
		s.taken(padding)
	}
	if f.StreamEnded() {
		s.receivedEnd()
	}
	c.notify(s)
	return nil
}

// taken returns credit of the connection to the peer.
func (c *Conn) taken(n int) {
	if inc := c.in.take(n, c.in.size/4); inc > 0 {
		c.push(control{kind: sendUpdate, n: uint32(inc)})
	}
	c.adjustWindows()
}

func (c *Conn) onReset(f *http2.RSTStreamFrame) error {
	if c.idle(f.StreamID) {
		return protocol("RST_STREAM of a stream that does not exist")
	}
	if !c.flood.resets.take(time.Now()) {
		return calm(limits.Resets, "too many RST_STREAM")
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return nil
	}
	if s.received && !c.server {
		s.sent() // the response is complete, and the peer wants no more requests
		return nil
	}
	if c.server && !s.closed {
		s.abandoned = true
		c.abandoned++
	}
	c.callback(s.end(ResetError{f.ErrCode, true}, true), s)
	return nil
}

// callback calls f without the lock, unless it is nil.
func (c *Conn) callback(f func(error), s *Stream) {
	if f != nil {
		err := s.err
		c.mu.Unlock()
		defer c.mu.Lock()
		f(err)
	}
}

func (c *Conn) onWindowUpdate(f *http2.WindowUpdateFrame) error {
	n := int(f.Increment)
	if f.StreamID == 0 {
		if c.credit+n > maxWindow {
			return flowControl("the connection's window is above 2³¹-1")
		}
		c.credit += n
		c.wakeWriter()
		return nil
	}
	if c.idle(f.StreamID) {
		return protocol("WINDOW_UPDATE of a stream that does not exist")
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return nil
	}
	if s.credit+n > maxWindow {
		s.reset(http2.ErrCodeFlowControl)
		return nil
	}
	s.credit += n
	s.schedule()
	return nil
}

func (c *Conn) onPing(f *http2.PingFrame) error {
	if f.IsAck() {
		if f.Data == drainPing() {
			c.left()
		}
		return nil
	}
	if !c.flood.pings.take(time.Now()) {
		return calm(limits.Pings, "too_many_pings") // as clients of gRPC know it
	}
	return c.reply(control{kind: sendPong, ping: f.Data})
}

// onGoAway ends the streams that the peer has not processed.
func (c *Conn) onGoAway(f *http2.GoAwayFrame) {
	if c.server {
		return // a client's streams end by themselves
	}
	c.phase = draining
	c.leave()
	var lost []*Stream
	for id, s := range c.streams {
		if id > f.LastStreamID {
			lost = append(lost, s)
		}
	}
	for _, s := range lost {
		c.callback(s.end(ErrUnprocessed, true), s)
	}
	c.released()
	c.closeIfDone()
}
