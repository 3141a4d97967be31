package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// ledger checks the frames that one side writes against what the other side has permitted.
// It knows only the frames.
type ledger struct {
	name    string
	credit  int                   // to send, on the connection
	initial int                   // as the other side has sent, and this side has acknowledged
	sent    []int                 // the values of the other side's SETTINGS without acknowledgement
	streams map[uint32]*permitted // of this side's sending
	errs    []error
}

type permitted struct {
	credit       int
	begun, ended bool
}

// book has the ledgers of both sides of a connection.
type book struct {
	mu    sync.Mutex
	sides [2]*ledger
}

func newBook() *book {
	b := &book{}
	for i, name := range []string{"client", "server"} {
		b.sides[i] = &ledger{name: name, credit: defaultWindow, initial: defaultWindow, streams: make(map[uint32]*permitted)}
	}
	return b
}

func (l *ledger) stream(id uint32) *permitted {
	s := l.streams[id]
	if s == nil {
		s = &permitted{credit: l.initial}
		l.streams[id] = s
	}
	return s
}

func (l *ledger) wrongf(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(l.name+": "+format, args...))
}

// note accounts for a frame that side writes.
func (b *book) note(side int, f http2.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, other := b.sides[side], b.sides[1-side]
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.SettingsFrame:
		own.settings(other, f)
	case *http2.WindowUpdateFrame:
		if id == 0 {
			other.credit += int(f.Increment)
		} else {
			other.stream(id).credit += int(f.Increment)
		}
	case *http2.HeadersFrame:
		s := own.stream(id)
		if s.ended {
			own.wrongf("HEADERS of stream %d after its end", id)
		}
		other.stream(id) // both directions exist from now on
		s.begun, s.ended = true, f.StreamEnded()
	case *http2.RSTStreamFrame:
		own.stream(id).ended = true
	case *http2.DataFrame:
		s := own.stream(id)
		n := int(f.Length)
		if own.credit -= n; own.credit < 0 {
			own.wrongf("the connection's window is exceeded by %d bytes", -own.credit)
		}
		if s.credit -= n; s.credit < 0 && n > 0 {
			own.wrongf("the window of stream %d is exceeded by %d bytes", id, -s.credit)
		}
		if s.ended || !s.begun {
			own.wrongf("DATA of stream %d before its begin or after its end", id)
		}
		s.ended = f.StreamEnded()
	}
}

func (l *ledger) settings(other *ledger, f *http2.SettingsFrame) {
	if !f.IsAck() {
		initial := -1
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			initial = int(v)
		}
		other.sent = append(other.sent, initial)
		return
	}
	initial := l.sent[0]
	l.sent = l.sent[1:]
	if initial < 0 {
		return
	}
	for _, s := range l.streams {
		s.credit += initial - l.initial
	}
	l.initial = initial
}

// watched is one end of a connection whose writes are noted before they are sent.
type watched struct {
	net.Conn

	book *book
	side int
	held []byte
}

func (w *watched) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	if w.side == 0 {
		w.held = bytes.TrimPrefix(w.held, []byte(http2.ClientPreface))
	}
	for len(w.held) >= 9 {
		size := 9 + int(binary.BigEndian.Uint32(w.held)>>8)
		if len(w.held) < size {
			break
		}
		f, err := http2.NewFramer(nil, bytes.NewReader(w.held[:size])).ReadFrame()
		if err != nil {
			w.book.sides[w.side].wrongf("a malformed frame: %v", err)
		} else {
			w.book.note(w.side, f)
		}
		w.held = w.held[size:]
	}
	return w.Conn.Write(p)
}

// world is a client and a server whose streams echo, at random speeds.
type world struct {
	*testseed.Shared

	t      *testing.T
	client *Conn
	server *Conn
}

// echo sends back what it receives, or gives up.
func (w *world) echo(s *Stream) {
	defer s.Close()
	_ = s.WriteHeader([]hpack.HeaderField{{Name: ":status", Value: "200"}}, false)
	for {
		w.Pause()
		data, err := s.Next(w.t.Context(), 1+w.IntN(20_000))
		if errors.Is(err, io.EOF) {
			_ = s.WriteHeader([]hpack.HeaderField{{Name: "grpc-status", Value: "0"}}, true)
			return
		}
		if reset, ok := errors.AsType[ResetError](err); ok && reset.Code == http2.ErrCodeFlowControl {
			w.t.Errorf("%v, although the ledger has no error", err)
		}
		if err != nil || w.IntN(200) == 0 {
			return
		}
		if s.Write(w.t.Context(), data) != nil {
			return
		}
		s.Credit(len(data))
	}
}

// call sends random data and checks what comes back. It may cancel the call.
func (w *world) call() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Duration(1+w.IntN(5000))*time.Millisecond)
	defer cancel()
	s, err := w.client.Open(ctx, []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/"},
		{Name: ":authority", Value: "a"},
	})
	if err != nil {
		return
	}
	defer s.Close()
	sent := make([]byte, w.IntN(1<<w.IntN(19)+1))
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+w.IntN(40_000))
			if s.Write(ctx, rest[:n/2], rest[n/2:n]) != nil {
				return
			}
			rest = rest[n:]
			w.Pause()
		}
		_ = s.End()
	})
	defer sender.Wait()
	var got []byte
	for {
		data, err := s.Next(ctx, 1+w.IntN(20_000))
		got = append(got, data...)
		if !bytes.HasPrefix(sent, got) {
			w.t.Error("the data that came back differs")
			return
		}
		if errors.Is(err, io.EOF) {
			if len(got) != len(sent) {
				w.t.Errorf("%d bytes came back, want %d", len(got), len(sent))
			}
			return
		}
		if reset, ok := errors.AsType[ResetError](err); ok && reset.Code == http2.ErrCodeFlowControl {
			w.t.Errorf("%v, although the ledger has no error", err)
		}
		if err != nil {
			return
		}
		w.Pause()
		s.Credit(len(data))
	}
}

// Both sides obey flow control in any schedule. They neither lose data nor stop, and hold
// nothing at the end.
func TestExploration(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := testseed.Rand(t, seed)
			synctest.Test(t, func(t *testing.T) { explore(t, random) })
		})
	}
}

func explore(t *testing.T, random *rand.Rand) {
	t.Helper()
	w, b := &world{Shared: testseed.Share(random), t: t}, newBook()
	var running, calls, echoes sync.WaitGroup
	near, far := pipe(t)
	window := defaultWindow << w.IntN(5)
	w.client = NewClient(&watched{Conn: near, book: b, side: 0}, Config{Window: window, PingAfter: -1})
	w.server = NewServer(&watched{Conn: far, book: b, side: 1}, Config{Window: window, MaxStreams: 50},
		func(s *Stream) { echoes.Go(func() { w.echo(s) }) })
	running.Go(func() { _ = w.client.Serve() })
	running.Go(func() { _ = w.server.Serve() })
	for range 1 + w.IntN(60) {
		calls.Go(func() {
			for range 3 {
				w.Pause()
				w.call()
			}
		})
	}
	calls.Wait()
	synctest.Wait() // the server has seen all calls
	echoes.Wait()
	synctest.Wait()
	for _, side := range b.sides {
		for _, err := range side.errs {
			t.Error(err)
		}
	}
	for _, c := range []*Conn{w.client, w.server} {
		c.mu.Lock()
		if c.err != nil || c.live != 0 || len(c.streams) != 0 || c.queued != 0 || c.windows.lent != 0 ||
			c.in.avail+c.in.pending != c.in.size {
			t.Errorf("at the end: %v, %d live, %d streams, %d bytes queued, %d lent, credit %+v",
				c.err, c.live, len(c.streams), c.queued, c.windows.lent, c.in)
		}
		c.mu.Unlock()
	}
	w.server.Drain()
	running.Wait()
}
