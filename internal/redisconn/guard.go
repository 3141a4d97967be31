package redisconn

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// A server that answers nonsense must not end the process. The client of rueidis panics on a separate
// goroutine if an answer has no request, and allocates what a length says. A guard is a connection
// that ends with an error before the client sees either.
const (
	maxElements = 1 << 17 // CLUSTER SLOTS has one for each range of slots
	maxDepth    = 16
	maxLine     = 64 << 10
)

var errProtocol = errors.New("it does not speak the protocol of Redis")

// guard is a connection that checks what a server answers.
type guard struct {
	net.Conn

	waiting atomic.Int64 // requests without an answer
	pushes  atomic.Bool  // after SUBSCRIBE, messages need no request
	watch   watch
	out, in scanner
	err     error // of the server, for the next Read
}

// newGuard guards a connection whose texts have at most maxText bytes.
func newGuard(conn net.Conn, maxText int) *guard {
	g := &guard{Conn: conn}
	g.watch.conn, g.watch.waiting = conn, func() bool { return g.waiting.Load() > 0 && !g.pushes.Load() }
	g.out.maxText, g.in.maxText = maxText, maxText
	g.out.begins = func(byte) error {
		g.waiting.Add(1)
		return nil
	}
	g.out.text = func(first []byte) {
		if bytes.HasSuffix(bytes.ToUpper(first), []byte("SUBSCRIBE")) {
			g.pushes.Store(true)
		}
	}
	g.in.begins = func(kind byte) error {
		switch {
		case kind == '>' || kind == '|' || g.pushes.Load():
		case g.waiting.Add(-1) < 0:
			return fmt.Errorf("%w: an answer without a request", errProtocol)
		}
		return nil
	}
	return g
}

// Write counts requests before they are sent.
func (g *guard) Write(p []byte) (int, error) {
	if _, err := g.out.scan(p); err != nil {
		return 0, err
	}
	g.watch.wrote(len(p))
	n, err := g.Conn.Write(p)
	return n, g.watch.explain(err)
}

// Close ends the connection.
func (g *guard) Close() error {
	g.watch.end()
	return g.Conn.Close()
}

// Read returns what is well-formed.
func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	good, bad := g.in.scan(p[:n])
	if n > 0 {
		g.watch.received(g.in.within())
	}
	if bad == nil {
		return n, g.watch.explain(err)
	}
	g.err = bad
	if good == 0 {
		return 0, bad
	}
	return good, nil
}

// scanner follows a stream of values of RESP2 or RESP3.
type scanner struct {
	begins func(kind byte) error // of a value that is not within another
	text   func(first []byte)    // the first text of the stream's value, if it is whole in one buffer

	maxText int

	line []byte // the part of a line before the current buffer
	skip int    // bytes of a text that follow, with its CR LF
	left []int  // values that follow, of each value that contains others
}

// scan returns how many bytes are good.
func (s *scanner) scan(p []byte) (int, error) {
	at := 0
	for at < len(p) {
		if s.skip > 0 {
			n := min(s.skip, len(p)-at)
			if s.text != nil && n == s.skip && len(s.left) == 1 {
				s.text(bytes.TrimSuffix(p[at:at+n], []byte("\r\n")))
			}
			at, s.skip = at+n, s.skip-n
			continue
		}
		end := bytes.IndexByte(p[at:], '\n')
		if end < 0 {
			s.line = append(s.line, p[at:]...)
			if len(s.line) > maxLine {
				return at, fmt.Errorf("%w: a line without end", errProtocol)
			}
			return len(p), nil
		}
		line := p[at : at+end+1]
		if len(s.line) > 0 {
			s.line = append(s.line, line...)
			line = s.line
		}
		err := s.head(line)
		s.line = s.line[:0]
		if err != nil {
			return at, err
		}
		at += end + 1
	}
	return at, nil
}

// within reports whether the stream ends within a value.
func (s *scanner) within() bool { return s.skip > 0 || len(s.line) > 0 || len(s.left) > 0 }

// head follows the first line of a value.
func (s *scanner) head(line []byte) error {
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return fmt.Errorf("%w: a line of %d bytes", errProtocol, len(line))
	}
	kind := line[0]
	if len(s.left) == 0 {
		if err := s.begins(kind); err != nil {
			return err
		}
	}
	switch kind {
	case '$', '=', '!':
		n, err := length(line, s.maxText)
		if err != nil {
			return err
		}
		if n >= 0 {
			s.skip = n + len("\r\n")
		}
	case '*', '~', '>', '%', '|':
		if err := s.open(line); err != nil {
			return err
		}
	case '+', '-', ':', '_', '#', ',', '(':
	default:
		return fmt.Errorf("%w: a value of the kind %q", errProtocol, kind)
	}
	s.end()
	return nil
}

// open follows the first line of a value that contains others.
func (s *scanner) open(line []byte) error {
	n, err := length(line, maxElements)
	if err != nil || n <= 0 {
		return err
	}
	if line[0] == '%' || line[0] == '|' {
		n *= 2
	}
	if s.left = append(s.left, n+1); len(s.left) > maxDepth {
		return fmt.Errorf("%w: values within values", errProtocol)
	}
	return nil
}

// end counts a value, and the values that end with it.
func (s *scanner) end() {
	for last := len(s.left) - 1; last >= 0; last-- {
		s.left[last]--
		if s.left[last] > 0 {
			return
		}
		s.left = s.left[:last]
	}
}

// length returns the number in a line, or -1 for null.
func length(line []byte, most int) (int, error) {
	digits := line[1 : len(line)-2]
	if bytes.Equal(digits, []byte("-1")) {
		return -1, nil
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("%w: the length %q", errProtocol, digits)
		}
		if n = 10*n + int(d-'0'); n > most {
			return 0, fmt.Errorf("%w: a length above %d", errProtocol, most)
		}
	}
	if len(digits) == 0 {
		return 0, fmt.Errorf("%w: a length without digits", errProtocol)
	}
	return n, nil
}
