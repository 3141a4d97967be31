package frametransport

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/hauberk-rpc/hauberk/gateway/internal/dial"
	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/upstreams"
)

// Upstream makes calls. It connects at a call, unless an attempt failed shortly before.
// Package upstreams selects the address of each call. When a connection has as many streams as
// the upstream permits, it makes another one to the same address, up to maxConns.
type Upstream struct {
	config Config
	dial   dial.Func
	target target.Target
	ctx    context.Context //nolint:containedctx // of all attempts to connect; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // connections, attempts, resolutions and health checks

	mu      sync.Mutex // guards the following
	closed  bool
	set     *upstreams.Set[*h2.Conn]
	conns   map[*h2.Conn]struct{} // also those that are draining
	changed chan struct{}         // closed at a change of set; nil if nothing waits
	names   names
	reached bool              // there was a connection
	failure upstreams.Failure // the last one when there was a connection last
}

type endpoint = upstreams.Endpoint[*h2.Conn]

// maxConns is the largest number of connections to one address that accept calls.
const maxConns = 16

// NewUpstream returns an upstream that connects at the first call. If dialer is nil, it is that
// of package dial.
func NewUpstream(address string, config Config, dialer dial.Func) (*Upstream, error) {
	to, err := target.Parse(address)
	if err != nil {
		return nil, err
	}
	config.Connections = config.Connections.WithDefaults()
	of := &config.Connections
	if dialer == nil {
		dialer = dial.TCP(of.TCPTimeout)
	}
	config.Upstream.PingAfter = cmp.Or(of.PingAfter, -1) // servers of gRPC count pings
	config.Upstream.PingTimeout = of.PingTimeout
	config.Upstream.PingIdle = of.PingIdle
	set, err := upstreams.New[*h2.Conn](upstreams.Config{
		Policy: upstreams.Policy(of.Policy), MinBackoff: of.MinBackoff, MaxBackoff: of.MaxBackoff,
		MaxConns: maxConns, Checked: of.HealthCheck, Random: rand.Float64,
		EjectAfter: of.EjectAfter, EjectTime: of.EjectTime, EjectPercent: of.EjectPercent,
	})
	if err != nil {
		return nil, err
	}
	u := &Upstream{config: config, dial: dialer, target: to, set: set, conns: make(map[*h2.Conn]struct{})}
	if to.Addresses != nil {
		set.Update(to.Addresses)
		u.names.resolved = true
	}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u, nil
}

// Close closes the connections and waits for their goroutines.
func (u *Upstream) Close() error {
	u.cancel()
	u.mu.Lock()
	u.closed = true
	conns := slices.Collect(maps.Keys(u.conns))
	u.notify()
	u.mu.Unlock()
	for _, conn := range conns {
		conn.Close() // without the lock: it reports the end of streams
	}
	u.work.Wait()
	return nil
}

// Reach is [transport.Upstream.Reach].
func (u *Upstream) Reach() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errClosed
	}
	last := u.set.LastFailure()
	choice := u.choose(time.Now(), last)
	switch {
	case choice.Endpoint != nil:
		u.reached, u.failure = true, last
		return nil
	case choice.Err != nil && !upstreams.IsLost(choice.Err):
		return choice.Err
	case last != u.failure:
		return errFailed
	case !u.reached:
		return transport.ErrNotConnected
	default:
		return nil
	}
}

// errFailed is the error of Reach while further attempts are made.
var errFailed = errors.New("attempts to connect to the upstream have failed")

// Open starts a call.
func (u *Upstream) Open(ctx context.Context, req transport.Request) (transport.Outbound, error) {
	stream, at, err := u.open(ctx, ctx, req)
	if err != nil {
		return nil, err
	}
	return u.call(ctx, req, stream, at), nil
}

func (u *Upstream) call(ctx context.Context, req transport.Request, stream *h2.Stream, at *endpoint) *outbound {
	return &outbound{
		sending:  sending{ctx: ctx, upstream: u, request: req, stream: stream, at: at},
		receiver: receiver{ctx: ctx, stream: stream, limit: u.config.MessageSize},
	}
}

func (u *Upstream) header(ctx context.Context, req transport.Request) []hpack.HeaderField {
	return u.appendHeader(ctx, make([]hpack.HeaderField, 0, 12+len(req.Fields)+len(req.Metadata)), &req)
}

// appendHeader adds the header list of a call to fields.
func (u *Upstream) appendHeader(
	ctx context.Context, fields []hpack.HeaderField, req *transport.Request,
) []hpack.HeaderField {
	scheme := "http"
	if u.config.Connections.TLS != nil {
		scheme = "https"
	}
	fields = append(fields,
		hpack.HeaderField{Name: ":method", Value: "POST"},
		hpack.HeaderField{Name: ":scheme", Value: scheme},
		hpack.HeaderField{Name: ":path", Value: req.Method},
		hpack.HeaderField{Name: ":authority", Value: cmp.Or(req.Raw.Authority, u.target.Authority)},
		hpack.HeaderField{Name: keyContentType, Value: cmp.Or(req.Raw.ContentType, contentType)},
		hpack.HeaderField{Name: "te", Value: "trailers"},
	)
	if at, ok := ctx.Deadline(); ok {
		fields = append(fields, hpack.HeaderField{
			Name: keyTimeout, Value: formatTimeout(time.Until(at)),
			Sensitive: true, // it would replace other fields in the table of HPACK, and be of no use there
		})
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
	return appendMetadata(append(fields, req.Fields...), req.Metadata)
}
