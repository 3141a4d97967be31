package h2

import (
	"math"
	"time"

	"golang.org/x/net/http2"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// maxSettings is the largest number of settings in a frame, as in Go's server of HTTP/2. Each one may concern all
// streams, and HTTP/2 has six.
const maxSettings = 100

func (c *Conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		c.acknowledged()
		return nil
	}
	if !c.flood.settings.take(time.Now()) {
		return calm(limits.Settings, "too many SETTINGS")
	}
	if f.NumSettings() > maxSettings {
		return calm(limits.Settings, "too many settings in a frame")
	}
	if !c.peer.known { // until now the number of streams was limited as a precaution
		c.peer.known, c.peer.streams = true, math.MaxInt32
	}
	if err := f.ForeachSetting(c.apply); err != nil {
		return err
	}
	c.released()
	return c.reply(control{kind: sendSettingsAck})
}

// resizeStreams changes the windows of all streams for received data.
func (c *Conn) resizeStreams(delta int) {
	if delta == 0 {
		return
	}
	for _, s := range c.streams {
		s.in.resize(delta)
		s.returned(0) // the peer may have stopped
	}
}

func (c *Conn) apply(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case http2.SettingInitialWindowSize:
		return c.applyWindow(int(s.Val))
	case http2.SettingMaxFrameSize:
		c.peer.frameSize = int(s.Val)
	case http2.SettingHeaderTableSize:
		c.pushTableSize(min(s.Val, 4096))
	case http2.SettingMaxConcurrentStreams:
		c.peer.streams = int(s.Val)
	case http2.SettingMaxHeaderListSize:
		c.peer.headerList = s.Val
	default: // this side neither uses push nor CONNECT
	}
	return nil
}

// pushTableSize queues a size of the encoder's table. The encoder must know the smallest size between two header
// blocks and the last one (RFC 7541, section 4.2), so that two sizes in a row are enough.
func (c *Conn) pushTableSize(size uint32) {
	n := len(c.control)
	if n < 2 || c.control[n-2].kind != sendTableSize || c.control[n-1].kind != sendTableSize {
		c.push(control{kind: sendTableSize, n: size})
		return
	}
	smallest, last := &c.control[n-2], &c.control[n-1]
	smallest.n, last.n = min(smallest.n, last.n), size
}

// applyWindow changes the credit of all streams. It can become negative.
func (c *Conn) applyWindow(initial int) error {
	delta := initial - c.peer.initial
	c.peer.initial = initial
	for _, s := range c.streams {
		if s.credit+delta > maxWindow {
			return flowControl("a stream's window is above 2³¹-1")
		}
		s.credit += delta
		s.schedule()
	}
	return nil
}

// acknowledged applies a change of the windows that the peer knows of.
func (c *Conn) acknowledged() {
	first := len(c.windows.changes) > 0 && !c.settledOwn
	reduction := c.windows.acknowledged()
	c.resizeStreams(-reduction)
	if first {
		c.settledOwn = true
	} else if reduction > 0 {
		extra := max(c.windows.extra()-c.in.excess, 0)
		c.in.excess = max(c.in.excess-c.windows.extra(), 0)
		c.in.resize(extra)
		c.push(control{kind: sendUpdate, n: uint32(extra)})
	}
	c.adjustWindows()
}

// adjustWindows changes the windows of streams if the number of bytes that are held demands
// it.
func (c *Conn) adjustWindows() {
	delta := c.windows.adjust(c.in.held(), c.in.size)
	if delta == 0 {
		return
	}
	c.push(control{kind: sendSettings, settings: []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.windows.initial[c.windows.level])},
	}})
	if delta > 0 {
		c.in.excess = c.in.size - c.windows.base()
		c.resizeStreams(delta)
	}
}
