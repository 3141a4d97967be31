package frametransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/dial"
	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/upstreams"
)

// open opens a stream with the header of a request. It waits until the end of ctx, which may be
// before that of the call, whose deadline is in the header.
func (u *Upstream) open(ctx, call context.Context, req transport.Request) (*h2.Stream, *endpoint, error) {
	var w wait
	for {
		if err := ctx.Err(); err != nil { // others need the lock
			return nil, nil, status.FromContextError(err).Err()
		}
		at, conn, err := u.connection(ctx, &w)
		if err != nil {
			return nil, nil, err
		}
		stream, err := u.openOn(ctx, at, conn, func() []hpack.HeaderField { return u.header(call, req) })
		switch {
		case err == nil:
			return stream, at, nil
		case ctx.Err() != nil:
			return nil, nil, status.FromContextError(ctx.Err()).Err()
		}
		// The connection accepts no calls any more: the call was not sent.
	}
}

var errClosed = status.Error(codes.Unavailable, "gateway: the gateway is stopped")

// wait is the state of a call that waits for a connection.
type wait struct {
	begun bool
	since upstreams.Failure // the last failure when the call began
	err   error             // of the attempts; nil if they have not all failed yet
	until time.Time         // the end of waiting for further attempts
}

// failed is called when all attempts have failed.
func (w *wait) failed(err error, last upstreams.Failure, until time.Time) {
	if w.err == nil {
		w.until = until
	}
	w.err, w.since = err, last
}

// connection returns the endpoint of a call and its first connection. It waits for one attempt to
// connect to each address, and after they have failed until the time of WaitForReady ends.
func (u *Upstream) connection(ctx context.Context, w *wait) (*endpoint, *h2.Conn, error) {
	for {
		now := time.Now()
		u.mu.Lock()
		if u.closed {
			u.mu.Unlock()
			return nil, nil, errClosed
		}
		if !w.begun {
			w.begun, w.since = true, u.set.LastFailure()
		}
		choice := u.choose(now, w.since)
		if at := choice.Endpoint; at != nil {
			conn := at.Conns[0]
			u.mu.Unlock()
			return at, conn, nil
		}
		changed, failure := u.changes(), u.set.LastFailure()
		u.mu.Unlock()
		if choice.Err != nil {
			w.failed(choice.Err, failure, now.Add(u.config.Connections.WaitForReady))
		}
		wake := choice.At
		if w.err != nil {
			if !now.Before(w.until) {
				return nil, nil, status.Errorf(codes.Unavailable, "connection error: %v", w.err)
			}
			if wake.IsZero() || w.until.Before(wake) {
				wake = w.until
			}
		}
		if err := await(ctx, changed, wake); err != nil {
			return nil, nil, status.FromContextError(err).Err()
		}
	}
}

// await waits for a change, a time unless it is zero, or the end of the context, which is an
// error.
func await(ctx context.Context, changed <-chan struct{}, wake time.Time) error {
	var at <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(time.Until(wake))
		defer timer.Stop()
		at = timer.C
	}
	select {
	case <-changed:
	case <-at:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// changes returns a channel that is closed at the next change. The caller holds the lock, as
// for all functions that follow and have no other comment.
func (u *Upstream) changes() <-chan struct{} {
	if u.changed == nil {
		u.changed = make(chan struct{})
	}
	return u.changed
}

func (u *Upstream) notify() {
	if u.changed != nil {
		close(u.changed)
		u.changed = nil
	}
}

// choose selects an endpoint, and begins the attempts that are due.
func (u *Upstream) choose(now time.Time, since upstreams.Failure) upstreams.Choice[*h2.Conn] {
	u.refresh(now)
	if !u.names.resolved {
		return upstreams.Choice[*h2.Conn]{Err: u.names.err, At: u.names.next}
	}
	choice := u.set.Pick(now, since)
	for _, e := range choice.Connect {
		u.work.Go(func() { u.connect(e) })
	}
	if choice.Err != nil && u.names.running {
		return upstreams.Choice[*h2.Conn]{} // the name may have other addresses
	}
	return choice
}

// openOn opens a stream at an endpoint. If its connections are full, it makes another one, and waits for the first
// stream of any of them. Calls get streams in the order in which they have begun to wait. It holds no lock.
func (u *Upstream) openOn(
	ctx context.Context, at *endpoint, first *h2.Conn, header func() []hpack.HeaderField,
) (*h2.Stream, error) {
	fields := header()
	stream, err := first.TryOpen(fields)
	if err == nil {
		return stream, nil
	}
	if !errors.Is(err, h2.ErrFull) {
		u.lost(at, first, err)
		return nil, err
	}
	u.mu.Lock()
	conns, queue := slices.Clone(at.Conns), queueOf(at)
	u.mu.Unlock()
	for _, conn := range conns { // without the lock: each has a lock that many others need
		if stream, err := conn.TryOpen(fields); err == nil {
			return stream, nil
		}
	}
	return queue.Open(ctx, header, func() []*h2.Conn {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.extend(at)
		return slices.Clone(at.Conns)
	})
}

// tryDirect opens a stream with events if a connection of the endpoint has room for it. Otherwise it
// returns nil.
func (u *Upstream) tryDirect(
	call context.Context, req *transport.Request, events h2.Events, corks *h2.Corks,
) (*h2.Stream, *endpoint) {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return nil, nil
	}
	at := u.choose(time.Now(), u.set.LastFailure()).Endpoint
	if at == nil {
		u.mu.Unlock()
		return nil, nil
	}
	conn, others := at.Conns[0], []*h2.Conn(nil)
	if len(at.Conns) > 1 {
		others = slices.Clone(at.Conns[1:])
	}
	u.mu.Unlock()
	var fields [28]hpack.HeaderField // to save an allocation
	header := u.appendHeader(call, fields[:0], req)
	for {
		if stream, err := conn.TryDirect(header, events, corks); err == nil {
			return stream, at
		}
		if len(others) == 0 {
			return nil, nil
		}
		conn, others = others[0], others[1:]
	}
}

// queueOf returns the queue of the calls that wait for a stream at an endpoint.
func queueOf(at *endpoint) *h2.Queue {
	queue, ok := at.Owner.(*h2.Queue)
	if !ok {
		queue = new(h2.Queue)
		at.Owner = queue
	}
	return queue
}

// extend makes another connection to an endpoint if calls wait for a stream.
func (u *Upstream) extend(at *endpoint) {
	if !u.closed && queueOf(at).Len() > 0 && len(at.Conns) > 0 && u.set.More(at, time.Now()) {
		u.work.Go(func() { u.connect(at) })
	}
}

// lost removes a connection that accepts no calls any more. It takes the lock.
func (u *Upstream) lost(at *endpoint, conn *h2.Conn, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.set.Lost(at, conn, err, time.Now())
	u.names.stale = true
	u.extend(at)
	if len(at.Conns) == 0 {
		queueOf(at).Wake()
	}
	u.notify()
}

// connect makes one attempt, and serves the connection until it is over. It takes the lock.
func (u *Upstream) connect(at *endpoint) {
	conn, served, err := u.establish(at)
	if u.connected(at, conn, err) {
		ctx, cancel := context.WithCancel(u.ctx)
		if u.config.Connections.HealthCheck {
			u.work.Go(func() { u.watchHealth(ctx, at, conn) })
		}
		<-conn.Left()
		cancel()
		u.lost(at, conn, h2.ErrLost)
	}
	if served != nil {
		<-served
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}
}

// connected ends an attempt. It returns whether the connection is used. It takes the lock.
func (u *Upstream) connected(at *endpoint, conn *h2.Conn, err error) (used bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		if used = u.set.Connected(at, conn, time.Now()); !used {
			conn.Drain()
		}
		u.extend(at)
	} else {
		u.set.Failed(at, err, time.Now())
		u.names.stale = true
	}
	u.notify()
	return used
}

// establish connects and waits for the settings of the upstream. served is closed at the end of
// the connection; it is nil if there was none. It takes the lock.
func (u *Upstream) establish(at *endpoint) (conn *h2.Conn, served chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(u.ctx, u.config.Connections.ConnectTimeout)
	defer cancel()
	nc, err := u.dialTo(ctx, at.Address)
	if err != nil {
		return nil, nil, err
	}
	config := u.config.Upstream
	u.mu.Lock()
	config.Queue = queueOf(at)
	conn = h2.NewClient(nc, config)
	if u.closed {
		u.mu.Unlock()
		_ = nc.Close()
		return nil, nil, errClosed
	}
	u.conns[conn] = struct{}{}
	u.mu.Unlock()
	served = make(chan struct{})
	var why error
	u.work.Go(func() {
		defer close(served)
		why = conn.Serve()
	})
	select {
	case <-conn.Settled():
		return conn, served, nil
	case <-served:
		return conn, served, fmt.Errorf("%s closed the connection before its settings: %w", at.Address.Address, why)
	case <-ctx.Done():
		conn.Close()
		return conn, served, fmt.Errorf("%s did not send the settings of HTTP/2 in time", at.Address.Address)
	}
}

// dialTo connects to an address, with TLS if it is configured. It needs no lock.
func (u *Upstream) dialTo(ctx context.Context, at target.Address) (net.Conn, error) {
	nc, err := u.dial(ctx, at.Network, at.Address)
	if err != nil || u.config.Connections.TLS == nil {
		return nc, err
	}
	config := u.config.Connections.TLS
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = u.target.ServerName(at)
	}
	return dial.Secure(ctx, nc, config)
}
