package frametransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Dialer makes the connections to the upstream.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Upstream makes calls. It connects at a call, unless an attempt failed shortly before. When
// a connection has as many streams as the upstream permits, it makes another one, up to
// maxConns.
type Upstream struct {
	config Config
	dial   Dialer
	target target
	ctx    context.Context //nolint:containedctx // of all attempts to connect; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // connections and attempts

	mu      sync.Mutex // guards the following
	closed  bool
	conn    *h2.Conn              // nil if there is none
	conns   map[*h2.Conn]struct{} // also those that are draining
	attempt chan struct{}         // closed at the end of the attempt that runs; nil if none does
	failure error                 // of the last attempt
	next    time.Time             // no attempt before
	backoff time.Duration
}

// NewUpstream returns an upstream that connects at the first call. If dial is nil, it is
// that of a net.Dialer.
func NewUpstream(address string, config Config, dial Dialer) (*Upstream, error) {
	to, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	config.Upstream.PingAfter = cmp.Or(config.Upstream.PingAfter, -1) // servers of gRPC count pings
	u := &Upstream{config: config, dial: dial, target: to, conns: make(map[*h2.Conn]struct{})}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u, nil
}

// Close closes the connections and waits for their goroutines.
func (u *Upstream) Close() error {
	u.cancel()
	u.mu.Lock()
	u.closed = true
	for conn := range u.conns {
		conn.Close()
	}
	u.mu.Unlock()
	u.work.Wait()
	return nil
}

// Open starts a call.
func (u *Upstream) Open(ctx context.Context, req transport.Request) (transport.Outbound, error) {
	stream, err := u.open(ctx, req)
	if err != nil {
		return nil, err
	}
	return &outbound{
		ctx: ctx, sending: sending{upstream: u, request: req, stream: stream},
		receiver: receiver{ctx: ctx, stream: stream, limit: u.config.MessageSize},
	}, nil
}

// open opens a stream with the header of a request.
func (u *Upstream) open(ctx context.Context, req transport.Request) (*h2.Stream, error) {
	for {
		conn, err := u.connection(ctx)
		if err != nil {
			return nil, err
		}
		header := u.header(ctx, req)
		stream, err := conn.TryOpen(header)
		if errors.Is(err, h2.ErrFull) {
			stream, err = u.openElsewhere(ctx, conn, header)
		}
		switch {
		case err == nil:
			return stream, nil
		case ctx.Err() != nil:
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		// The connection has ended since: the call was not sent.
	}
}

func (u *Upstream) header(ctx context.Context, req transport.Request) []hpack.HeaderField {
	fields := append(make([]hpack.HeaderField, 0, 12+len(req.Metadata)),
		hpack.HeaderField{Name: ":method", Value: "POST"},
		hpack.HeaderField{Name: ":scheme", Value: "http"},
		hpack.HeaderField{Name: ":path", Value: req.Method},
		hpack.HeaderField{Name: ":authority", Value: cmp.Or(req.Raw.Authority, u.target.authority)},
		hpack.HeaderField{Name: keyContentType, Value: cmp.Or(req.Raw.ContentType, contentType)},
		hpack.HeaderField{Name: "te", Value: "trailers"},
	)
	if at, ok := ctx.Deadline(); ok {
		fields = append(fields, hpack.HeaderField{Name: keyTimeout, Value: formatTimeout(time.Until(at))})
	}
	for _, f := range []hpack.HeaderField{
		{Name: keyUserAgent, Value: req.Raw.UserAgent},
		{Name: keyEncoding, Value: req.Compressor},
		{Name: keyAcceptEncoding, Value: req.Raw.AcceptEncoding},
		{Name: keyPrevious, Value: req.Raw.PreviousAttempts},
	} {
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	return appendMetadata(fields, req.Metadata)
}

var errClosed = status.Error(codes.Unavailable, "gateway: the gateway is stopped")

// connection returns a connection. It waits for the attempt to connect, if one is necessary.
func (u *Upstream) connection(ctx context.Context) (*h2.Conn, error) {
	for tried := false; ; tried = true {
		conn, attempt, err := u.current(tried)
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-attempt:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// current returns the connection, or the attempt to make one. tried is whether the caller has
// waited for an attempt.
func (u *Upstream) current(tried bool) (conn *h2.Conn, attempt chan struct{}, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.closed:
		return nil, nil, errClosed
	case u.conn != nil && u.conn.Usable():
		return u.conn, nil, nil
	case u.attempt == nil && (tried && u.failure != nil || time.Now().Before(u.next)):
		return nil, nil, status.Errorf(codes.Unavailable, "connection error: %v", u.failure)
	case u.attempt == nil:
		u.conn = nil
		u.attempt = make(chan struct{})
		u.work.Go(u.connect)
	}
	return nil, u.attempt, nil
}

// maxConns is the largest number of connections that accept calls.
const maxConns = 16

// openElsewhere opens a stream on another connection than full, if necessary on a new one.
// If there cannot be more connections, it waits for full.
func (u *Upstream) openElsewhere(
	ctx context.Context, full *h2.Conn, header []hpack.HeaderField,
) (*h2.Stream, error) {
	stream, attempt := u.elsewhere(header)
	switch {
	case stream != nil:
		return stream, nil
	case attempt == nil:
		return full.Open(ctx, header)
	}
	select {
	case <-attempt:
		return nil, h2.ErrFull // the caller tries again
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// elsewhere returns a stream on any connection, or else an attempt to make another one, or
// else nothing.
func (u *Upstream) elsewhere(header []hpack.HeaderField) (*h2.Stream, chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	usable := 0
	for conn := range u.conns {
		select {
		case <-conn.Settled():
		default:
			continue // its limit is not known yet
		}
		stream, err := conn.TryOpen(header)
		if err == nil {
			return stream, nil
		}
		if errors.Is(err, h2.ErrFull) {
			usable++
		}
	}
	if u.attempt == nil && (u.closed || usable >= maxConns || time.Now().Before(u.next)) {
		return nil, nil
	}
	if u.attempt == nil {
		u.attempt = make(chan struct{})
		u.work.Go(u.connect)
	}
	return nil, u.attempt
}

// The waiting time after a failed attempt doubles, to a short maximum, so that an upstream
// is used soon after it becomes available again.
const (
	firstBackoff = 50 * time.Millisecond
	mostBackoff  = 500 * time.Millisecond
)

// connect makes one attempt, and then serves the connection.
func (u *Upstream) connect() {
	ctx, cancel := context.WithTimeout(u.ctx, cmp.Or(u.config.DialTimeout, 5*time.Second))
	defer cancel()
	conn, served, err := u.establish(ctx)
	u.mu.Lock()
	if u.failure = err; err == nil {
		u.conn, u.backoff, u.next = conn, 0, time.Time{}
	} else {
		u.backoff = min(max(2*u.backoff, firstBackoff), mostBackoff)
		u.next = time.Now().Add(u.backoff)
	}
	close(u.attempt)
	u.attempt = nil
	u.mu.Unlock()
	if served != nil {
		<-served
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}
}

// establish connects and waits for the settings of the upstream. served is closed at the
// end of the connection.
func (u *Upstream) establish(ctx context.Context) (conn *h2.Conn, served chan struct{}, err error) {
	nc, err := u.dial(ctx, u.target.network, u.target.address)
	if err != nil {
		return nil, nil, err
	}
	conn = h2.NewClient(nc, u.config.Upstream)
	u.mu.Lock()
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
		return conn, served, fmt.Errorf("the upstream closed the connection before its settings: %w", why)
	case <-ctx.Done():
		conn.Close()
		return conn, served, errors.New("the upstream did not send the settings of HTTP/2 in time")
	}
}
