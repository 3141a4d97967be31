package h2

import (
	"bufio"
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// Conn is one end of a connection. Its methods are safe for concurrent use.
type Conn struct {
	nc          net.Conn
	config      Config
	server      bool
	accept      func(*Stream) // of a server
	settled     chan struct{} // closed at the peer's first SETTINGS
	gone        chan struct{} // closed when a client can open no streams any more
	wake        chan struct{} // of the writer
	written     chan struct{} // closed at the end of the writer
	lessReplies chan struct{} // wakes the reader: see awaitReplies

	// Of the reader.
	br      *bufio.Reader
	fr      *http2.Framer
	block   *block
	started bool         // the peer's first SETTINGS has arrived
	frames  atomic.Int64 // received; read by keepalive
	// What the frames that were read are for: see deliver.
	toWake, toAccept []*Stream
	toCall           []func() // of OnReady
	toReport         []Events // Received
	corks            Corks
	many, unread     bool // many replies wait; the reader has waited for them

	// Of the writer.
	buf  *bytes.Buffer // the next write; nil while the writer has nothing to write
	out  *http2.Framer
	enc  *hpack.Encoder
	hpb  bytes.Buffer // the encoder's output
	sent []Events     // to report

	mu         sync.Mutex   // guards the following and all streams
	err        error        // why the connection is over
	limit      limits.Limit // that the peer has exceeded
	streams    map[uint32]*Stream
	live       int    // streams that the caller has not closed
	abandoned  int    // those of them that a client has reset
	nextID     uint32 // of a client's next stream
	lastID     uint32 // the highest id of a server's streams
	phase      phase
	waiting    list.List   // callers of Open, each a chan struct{}, in order
	woken      int         // callers of Open that were woken and have not gone on
	timer      *time.Timer // of keepalive or of Drain
	in         inflow
	settledOwn bool // the peer has acknowledged the first SETTINGS
	windows    windows
	control    []control            // frames that need no credit, in order
	fields     *[]hpack.HeaderField // of control; nil if there are none
	corked     int                  // goroutines that wake the writer later
	unwoken    bool                 // they have to
	replies    int                  // the control frames that answer the peer
	crowded    bool                 // the reader waits for the writer: see awaitReplies
	ready      queue                // have data and credit; take turns
	queued     int                  // bytes of data of all streams
	credit     int                  // to send, of the connection
	flood      floods
	peer       peer
	draining   *time.Timer
	hasLeft    bool // gone is closed
}

// peer has the settings of the peer.
type peer struct {
	known      bool // its first SETTINGS have arrived
	initial    int  // the window of new streams
	frameSize  int
	streams    int
	headerList uint32
}

// phase is the state of a connection that is not over.
type phase int

const (
	open     phase = iota
	leaving        // a server's first GOAWAY is sent
	draining       // no streams are accepted or opened
)

// NewServer returns the server's end of a connection. accept is called on the reader for
// each stream of the client. It must not block.
func NewServer(nc net.Conn, config Config, accept func(*Stream)) *Conn {
	c := newConn(nc, config)
	c.server, c.accept = true, accept
	c.block = newBlock(mostHeaders(c.config, 1<<20))
	c.begin()
	return c
}

// NewClient returns the client's end of a connection.
func NewClient(nc net.Conn, config Config) *Conn {
	c := newConn(nc, config)
	c.nextID = 1
	c.block = newBlock(mostHeaders(c.config, 16<<20))
	c.begin()
	return c
}

// mostHeaders returns the size of header lists that end the connection. Decoding goes on to
// that size, since the rest of the connection depends on it.
func mostHeaders(config Config, least uint32) uint32 {
	return max(uint32(min(uint64(config.HeaderListSize)*4, 1<<30)), least)
}

// The sizes of the buffers of a connection, in bytes.
const (
	readBuffer  = 32 << 10
	writeBuffer = 64 << 10
)

func newConn(nc net.Conn, config Config) *Conn {
	config = config.withDefaults()
	c := &Conn{
		nc: nc, config: config,
		settled: make(chan struct{}), gone: make(chan struct{}),
		wake: make(chan struct{}, 1), written: make(chan struct{}),
		lessReplies: make(chan struct{}, 1),
		br:          bufio.NewReaderSize(nc, readBuffer),
		streams:     make(map[uint32]*Stream),
		windows:     newWindows(config.Window),
		credit:      defaultWindow,
		flood:       newFloods(config, time.Now()),
		peer:        peer{initial: defaultWindow, frameSize: defaultFrameSize, streams: 100, headerList: 1<<32 - 1},
	}
	c.in.resize(c.windows.base())
	c.fr = http2.NewFramer(nil, c.br)
	c.fr.SetReuseFrames()
	c.fr.SetMaxReadFrameSize(defaultFrameSize)
	c.out = http2.NewFramer(toBuffer{c}, nil)
	c.enc = hpack.NewEncoder(&c.hpb)
	c.enc.SetMaxDynamicTableSizeLimit(4096)
	return c
}

// Settled returns a channel that is closed when the peer has sent its settings.
func (c *Conn) Settled() <-chan struct{} { return c.settled }

// Serve runs the connection until it is closed, and returns the reason: [ErrClosed],
// [ErrDraining], or an error that wraps [ErrLost]. It closes the network connection.
func (c *Conn) Serve() error {
	c.watch()
	go c.write()
	err := c.read()
	c.fail(err)
	<-c.written
	_ = c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close resets all streams and closes the connection.
func (c *Conn) Close() { c.fail(ErrClosed) }

// begin queues what this side sends first.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	settings := []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.windows.initial[0])},
		{ID: http2.SettingMaxHeaderListSize, Val: c.config.HeaderListSize},
	}
	if c.server {
		settings = append(settings, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.config.MaxStreams})
	} else {
		settings = append(settings, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
		c.push(control{kind: sendPreface})
	}
	c.push(control{kind: sendSettings, settings: settings})
	if n := c.in.size - defaultWindow; n > 0 {
		c.push(control{kind: sendUpdate, n: uint32(n)})
	}
}

// watch starts the timer of keepalive.
func (c *Conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config.PingAfter > 0 && c.err == nil {
		c.timer = time.AfterFunc(c.config.PingAfter, func() { c.keepalive(0, false) })
	}
}

// fail ends the connection. The first error counts. If it is an error of the protocol, the
// peer receives GOAWAY with its code.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	goaway := control{kind: sendGoAway, id: c.lastID, code: http2.ErrCodeNo}
	if wrong, ok := errors.AsType[connError](err); ok {
		goaway.code, goaway.text, c.limit = wrong.code, wrong.text, wrong.limit
	}
	if c.phase != draining {
		c.push(goaway)
	}
	if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrDraining) {
		// io.EOF must not be found in the error: it is the regular end of a stream.
		err = fmt.Errorf("%w: %v", ErrLost, err) //nolint:errorlint // as the comment says
	}
	c.err = err
	c.leave()
	for _, timer := range []*time.Timer{c.timer, c.draining} {
		if timer != nil {
			timer.Stop()
		}
	}
	var ended []func(error)
	for _, s := range c.streams {
		ended = append(ended, s.end(err, !errors.Is(err, ErrClosed)))
	}
	c.released()
	c.wakeWriter()
	c.mu.Unlock()
	for _, f := range ended {
		if f != nil {
			f(err)
		}
	}
	// The writer sends GOAWAY and closes the connection. It may be blocked.
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
}

// Limit returns the limit that the peer has exceeded, after Serve has returned.
func (c *Conn) Limit() limits.Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit
}

// Activity returns the number of streams that the caller has not closed, and a number that
// grows with each stream that a client opens.
func (c *Conn) Activity() (streams int, last uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live, c.lastID
}

// Interrupt calls the functions of [Stream.OnEnd] of all streams with err. The streams go on,
// so that their callers can end them with a status.
func (c *Conn) Interrupt(err error) {
	c.mu.Lock()
	ended := make([]func(error), 0, len(c.streams))
	for _, s := range c.streams {
		if s.onEnd != nil {
			ended = append(ended, s.onEnd)
			s.onEnd = nil
		}
		if s.events != nil {
			ended = append(ended, s.events.Interrupted)
		}
	}
	c.mu.Unlock()
	for _, f := range ended {
		f(err)
	}
}

// keepalive closes the connection if the peer does not answer a PING.
func (c *Conn) keepalive(seen int64, pinged bool) {
	now := c.frames.Load()
	silent := now == seen
	if silent && pinged {
		c.fail(errors.New("the peer did not answer a ping"))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	wait := c.config.PingAfter
	if idle := !c.server && !c.config.PingIdle && len(c.streams) == 0; idle {
		silent = false
	}
	if silent {
		c.push(control{kind: sendPing})
		wait = c.config.PingTimeout
	}
	c.timer = time.AfterFunc(wait, func() { c.keepalive(now, silent) })
}

// drainPing is the payload of the PING after the first GOAWAY.
func drainPing() [8]byte { return [8]byte{'d', 'r', 'a', 'i', 'n'} }

// Drain ends the connection when its streams have ended. It does not wait.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.phase != open {
		return
	}
	if !c.server {
		c.phase = draining
		c.leave()
		c.closeIfDone()
		return
	}
	c.phase = leaving
	c.push(control{kind: sendGoAway, id: maxStreamID, code: http2.ErrCodeNo})
	c.push(control{kind: sendPing, ping: drainPing()})
	c.draining = time.AfterFunc(5*time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.left()
	})
}

// left sends the second GOAWAY: the peer has seen the first, or has had time for it.
func (c *Conn) left() {
	if c.phase != leaving || c.err != nil {
		return
	}
	c.phase = draining
	c.draining.Stop()
	c.push(control{kind: sendGoAway, id: c.lastID, code: http2.ErrCodeNo})
	c.closeIfDone()
}

// closeIfDone closes a draining connection without streams.
func (c *Conn) closeIfDone() {
	if c.phase == draining && len(c.streams) == 0 && c.err == nil {
		go c.fail(ErrDraining)
	}
}
