package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
)

// Connector is the connection to a server, a cluster or a primary. Make it with [Connect], and close it at
// the end. Safe for concurrent use.
//
// The client of rueidis dials when it is created and fails if
// there is no server, so a goroutine creates it, again and again until it succeeds:
//
//	connecting ──▶ failed ──▶ connecting … ──▶ connected
//
// From then on the client connects again by itself.
type Connector struct {
	config  Config
	context context.Context //nolint:containedctx // ends with the connector
	cancel  context.CancelFunc
	ended   chan struct{} // the goroutine has ended

	requests chan struct{} // one for each place of a request

	first chan struct{} // closed after the first attempt
	mu    sync.Mutex    // guards the following fields
	ready rueidis.Client
	err   error // of the last attempt, or Config.Closed
}

// Connect begins to connect. The configuration must be valid.
func Connect(config Config) *Connector {
	c := &Connector{
		config: config, first: make(chan struct{}), ended: make(chan struct{}),
		requests: make(chan struct{}, MaxRequests),
	}
	c.context, c.cancel = context.WithCancel(context.Background())
	o := config.options()
	o.DialCtxFn = c.dial
	go c.run(o)
	return c
}

// dial connects to an address until the connector is closed.
func (c *Connector) dial(ctx context.Context, addr string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	defer context.AfterFunc(c.context, cancel)()
	var conn net.Conn
	var err error
	if config != nil {
		conn, err = (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = d.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		if config != nil && ctx.Err() != nil && c.context.Err() == nil {
			err = fmt.Errorf("%w (does %s speak TLS?)", err, addr)
		}
		return nil, err
	}
	return newGuard(conn, c.config.MaxText), nil
}

func (c *Connector) run(o rueidis.ClientOption) {
	defer close(c.ended)
	once := sync.OnceFunc(func() { close(c.first) })
	defer once()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		client, err := c.attempt(o)
		c.mu.Lock()
		c.ready, c.err = client, err
		c.mu.Unlock()
		once()
		if err == nil {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.context.Done():
			timer.Stop()
			return
		}
	}
}

func (c *Connector) attempt(o rueidis.ClientOption) (client rueidis.Client, err error) {
	defer func() {
		if p := recover(); p != nil {
			client, err = nil, fmt.Errorf("the client panicked: %v", p)
		}
	}()
	if client, err = rueidis.NewClient(o); err != nil {
		return nil, err
	}
	if c.config.Cluster && client.Mode() != rueidis.ClientModeCluster {
		client.Close()
		return nil, errNoCluster
	}
	return client, nil
}

// Client returns the client, after the first attempt to connect, or the error of the last attempt. ctx
// bounds the wait.
func (c *Connector) Client(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-c.first:
	default:
		select {
		case <-c.first:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready, c.err
}

// Err returns the error of the last attempt to connect, or nil if that has succeeded or there was none yet.
func (c *Connector) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connections, and waits until the attempts to connect have ended. It may be called again.
func (c *Connector) Close() {
	c.cancel()
	<-c.ended
	c.mu.Lock()
	client := c.ready
	c.ready, c.err = nil, c.config.Closed
	c.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// Name says which server is meant.
func (c *Connector) Name() string {
	servers := strings.Join(c.config.Addresses, ", ")
	if c.config.Sentinel.MasterName != "" {
		return fmt.Sprintf("the primary %q of the Sentinels %s", c.config.Sentinel.MasterName, servers)
	}
	return servers
}

var errNoCluster = errors.New("the server is not a node of a cluster; want Config.Cluster to be false")

// Full is a part of the error of a server that has no memory left. The name of a server may have the code OOM in it.
const Full = "OOM command not allowed"

// hints say what would be right, by a part of the error.
var hints = []struct{ part, hint string }{ //nolint:gochecknoglobals // never written
	{"NOAUTH", "it wants a password: set Config.Password or WithCredentials"},
	{"WRONGPASS", "it rejects the username or password"},
	{"invalid password", "it rejects the username or password"},
	{"without any password configured", "it has no password: leave Config.Password empty"},
	{"NOPERM", "its user lacks a permission; want those that the documentation of the package lists under Servers"},
	{"READONLY", "it is a replica; want the address of the primary, or Config.Sentinel"},
	{"LOADING", "it is loading its data"},
	{"MASTERDOWN", "it is a replica without its primary"},
	{"MOVED", "it is a node of a cluster that names another node; want addresses that are reachable from here"},
	{"CLUSTERDOWN", "the cluster does not serve all slots"},
	{"cluster support disabled", "it is not a node of a cluster; want one address, or Config.Sentinel"},
	{Full, "its memory is full, and its policy evicts no keys"},
	{"first record does not look like a TLS handshake", "it does not speak TLS; want no WithTLS"},
	{"tls:", "TLS fails"},
	{"x509:", "its certificate is not trusted"},
}

// Explain returns an error that says which server has failed, and what would be right. It contains
// no password.
func (c *Connector) Explain(err error) error {
	if errors.Is(err, c.config.Closed) || errors.Is(err, rueidis.ErrClosing) {
		return fmt.Errorf("%w: %w", c.config.Closed, err)
	}
	where := c.config.Owner + ": " + c.Name()
	text := err.Error()
	for _, h := range hints {
		if strings.Contains(text, h.part) {
			return fmt.Errorf("%s: %s: %w", where, h.hint, err)
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: it closed the connection; does it want TLS (WithTLS)? %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}
