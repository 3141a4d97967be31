package frametransport

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
)

// connection is a connection of a client, from its acceptance on.
type connection struct {
	server *Server
	nc     net.Conn
	since  time.Time

	// Guarded by the server's mutex.
	h2    *h2.Conn      // nil during the handshake of TLS
	begin *list.Element // in the server's list; nil when the first SETTINGS have arrived
	age   *time.Timer
	idle  *time.Timer
	over  bool
}

// connect serves a connection on a separate goroutine, or rejects it.
func (s *Server) connect(nc net.Conn) {
	if s.config.Full != nil && s.config.Full() {
		s.reject(nc, limits.Memory, "the gateway is short of memory")
		return
	}
	if !s.room() {
		s.reject(nc, limits.Connections, "too many connections")
		return
	}
	if late := s.start(&connection{server: s, nc: nc, since: time.Now()}); late != nil {
		s.config.Limits.Met(limits.Handshakes, late.nc.RemoteAddr().String())
	}
}

// start serves a connection. If too many have not begun HTTP/2, it closes the oldest of these and returns it: clients
// that send nothing cannot keep others out.
func (s *Server) start(c *connection) (late *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		_ = c.nc.Close()
		return nil
	}
	if most := s.config.Handshakes; most > 0 && s.beginning.Len() >= most {
		late, _ = s.beginning.Front().Value.(*connection)
		late.begun()
		delete(s.conns, late)
		late.close()
	}
	s.conns[c] = struct{}{}
	c.begin = s.beginning.PushBack(c)
	s.work.Go(c.serve)
	return late
}

// begun removes the connection from those that have not begun HTTP/2. The caller holds the server's lock.
func (c *connection) begun() {
	if c.begin != nil {
		c.server.beginning.Remove(c.begin)
		c.begin = nil
	}
}

// room reports whether there may be a further connection. If necessary it closes one that has
// no calls.
func (s *Server) room() bool {
	s.mu.Lock()
	full := s.config.Conns > 0 && len(s.conns) >= s.config.Conns
	s.mu.Unlock()
	if !full {
		return true
	}
	evicted := s.evict()
	if evicted {
		s.config.Limits.Met(limits.Connections, "")
	}
	return evicted
}

// evict closes a connection without calls, and reports whether there was one. It looks at some
// connections only, and prefers those that never had a call, and of these the oldest.
func (s *Server) evict() bool {
	const looks = 64
	s.mu.Lock()
	defer s.mu.Unlock()
	var worst *connection
	worstUsed, n := false, 0
	for c := range s.conns {
		n++
		if n > looks {
			break
		}
		streams, last := 0, uint32(0)
		if c.h2 != nil {
			streams, last = c.h2.Activity()
		}
		if streams > 0 {
			continue
		}
		used := last > 0
		if worst == nil || worstUsed && !used || worstUsed == used && c.since.Before(worst.since) {
			worst, worstUsed = c, used
		}
	}
	if worst == nil {
		return false
	}
	delete(s.conns, worst)
	worst.close()
	return true
}

// maxRejecting is the number of connections that receive GOAWAY because they are rejected, at a time.
const maxRejecting = 64

// reject closes a connection, if possible with GOAWAY.
func (s *Server) reject(nc net.Conn, limit limits.Limit, text string) {
	s.config.Limits.Met(limit, nc.RemoteAddr().String())
	_, secure := nc.(*tls.Conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if secure || s.draining || s.rejecting >= maxRejecting {
		_ = nc.Close()
		return
	}
	s.rejecting++
	s.work.Go(func() {
		sayGoAway(nc, text)
		s.mu.Lock()
		s.rejecting--
		s.mu.Unlock()
	})
}

// sayGoAway ends a connection before it has begun. It reads what the client sends, for a moment:
// otherwise TCP would reset the connection, and the client could lose GOAWAY.
func sayGoAway(nc net.Conn, text string) {
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(500 * time.Millisecond))
	out := http2.NewFramer(nc, nil)
	if out.WriteSettings() != nil || out.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte(text)) != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	for n, buf := 0, make([]byte, 512); n < 64; n++ {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}

// serve serves the connection until its end.
func (c *connection) serve() {
	s := c.server
	defer c.end()
	defer c.nc.Close()
	from, err := s.handshake(c.nc)
	if err != nil {
		timeout, ok := errors.AsType[net.Error](err)
		if ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
			s.config.Limits.Met(limits.Handshake, c.nc.RemoteAddr().String())
		}
		return
	}
	address := from.Addr.String()
	met := func(err error) { s.config.Limits.MetBy(err, address) }
	config := s.config.Clients
	config.Settled = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.begun()
	}
	config.Rejected = func() { s.config.Limits.Met(limits.Streams, address) }
	ctx := peer.NewContext(context.Background(), from)
	conn := h2.NewServer(c.nc, config, func(stream *h2.Stream) {
		if s.relay(stream, met) {
			return
		}
		s.work.Add(1)
		s.calls.run(func() {
			defer s.work.Done()
			s.serveCall(ctx, stream, met)
		})
	})
	if c.establish(conn) {
		_ = conn.Serve()
		s.config.Limits.Met(conn.Limit(), address)
	}
}

// establish begins HTTP/2 on the connection, unless the server is closed.
func (c *connection) establish(conn *h2.Conn) bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || c.over {
		return false
	}
	c.h2 = conn
	if age := s.config.Age; age > 0 {
		jitter := time.Duration((2*rand.Float64() - 1) * float64(age) / 10)
		c.after(&c.age, age+jitter, c.old)
	}
	if idle := s.config.Idle; idle > 0 {
		c.after(&c.idle, idle/4, func() { c.watchIdle(0, 1) })
	}
	return true
}

// after sets a timer, unless the connection has ended. The caller holds the lock.
func (c *connection) after(timer **time.Timer, wait time.Duration, f func()) {
	if !c.over {
		*timer = time.AfterFunc(wait, f)
	}
}

// later is after for callers that do not hold the lock.
func (c *connection) later(timer **time.Timer, wait time.Duration, f func()) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.after(timer, wait, f)
}

// end is called once, at the end of the connection.
func (c *connection) end() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c)
	c.begun()
	c.over = true
	for _, timer := range []*time.Timer{c.age, c.idle} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// old begins the end of a connection that has reached its greatest age.
func (c *connection) old() {
	c.h2.Drain()
	if grace := c.server.config.Grace; grace > 0 {
		c.later(&c.age, grace, c.cut)
	}
}

// cut ends the calls that go on after the grace time, and soon after that the connection.
func (c *connection) cut() {
	if streams, _ := c.h2.Activity(); streams > 0 {
		c.server.config.Limits.Met(limits.Age, c.nc.RemoteAddr().String())
	}
	c.h2.Interrupt(&limits.Error{
		Limit: limits.Age, Code: codes.Unavailable, Message: "gateway: the connection has reached its greatest age",
	})
	c.later(&c.age, time.Second, c.h2.Close)
}

// idleChecks is the number of quarters of the idle time that must have passed, of which the first was
// perhaps not complete.
const idleChecks = 4

// watchIdle drains the connection if it had no calls in several checks, one after the other.
func (c *connection) watchIdle(seen uint32, checks int) {
	streams, last := c.h2.Activity()
	switch {
	case streams > 0 || last != seen:
		checks = 0
	case checks == idleChecks:
		c.server.config.Limits.Count(limits.Idle)
		c.h2.Drain()
		return
	default:
		checks++
	}
	c.later(&c.idle, c.server.config.Idle/4, func() { c.watchIdle(last, checks) })
}

// drain and close end the connection. The caller holds the server's lock.
func (c *connection) drain() {
	if c.h2 != nil {
		c.h2.Drain()
	}
}

func (c *connection) close() {
	c.over = true
	if c.h2 != nil {
		c.h2.Close()
		return
	}
	_ = c.nc.Close()
}
