package ratelimitredis

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
	bufferOfConn = 64 << 10
	unresponsive = time.Second // for a connection attempt, and for a ping
	refresh      = time.Second // of what Sentinels say
	maxMoved     = 4           // redirections of a request
	firstRetry   = 20 * time.Millisecond
	lastRetry    = time.Second
)

// link is the connection to the server. The client of rueidis dials when it is created and fails if
// there is no server, so a goroutine creates it, again and again until it succeeds:
//
//	connecting ──▶ failed ──▶ connecting … ──▶ connected
//
// From then on the client connects again by itself.
type link struct {
	config  Config
	context context.Context //nolint:containedctx // ends with the link
	cancel  context.CancelFunc
	ended   chan struct{} // the goroutine has ended

	first chan struct{} // closed after the first attempt
	mu    sync.Mutex    // guards the following fields
	ready rueidis.Client
	err   error // of the last attempt, or ErrClosed
}

func connect(o rueidis.ClientOption, config Config) *link {
	l := &link{config: config, first: make(chan struct{}), ended: make(chan struct{})}
	l.context, l.cancel = context.WithCancel(context.Background())
	o.DialCtxFn = l.dial
	go l.run(o)
	return l
}

// dial connects to an address until the link is closed.
func (l *link) dial(ctx context.Context, addr string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	defer context.AfterFunc(l.context, cancel)()
	var conn net.Conn
	var err error
	if config != nil {
		conn, err = (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = d.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		if config != nil && ctx.Err() != nil && l.context.Err() == nil {
			err = fmt.Errorf("%w (does %s speak TLS?)", err, addr)
		}
		return nil, err
	}
	return newGuard(conn), nil
}

func (l *link) run(o rueidis.ClientOption) {
	defer close(l.ended)
	once := sync.OnceFunc(func() { close(l.first) })
	defer once()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		client, err := l.attempt(o)
		l.mu.Lock()
		l.ready, l.err = client, err
		l.mu.Unlock()
		once()
		if err == nil {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.context.Done():
			timer.Stop()
			return
		}
	}
}

func (l *link) attempt(o rueidis.ClientOption) (client rueidis.Client, err error) {
	defer func() {
		if p := recover(); p != nil {
			client, err = nil, fmt.Errorf("the client panicked: %v", p)
		}
	}()
	if client, err = rueidis.NewClient(o); err != nil {
		return nil, err
	}
	if l.config.Cluster && client.Mode() != rueidis.ClientModeCluster {
		client.Close()
		return nil, errNoCluster
	}
	return client, nil
}

// client returns the client, after the first attempt to connect.
func (l *link) client() (rueidis.Client, error) {
	<-l.first
	return l.state()
}

// state returns the client, or what the last attempt to connect has returned.
func (l *link) state() (rueidis.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready, l.err
}

func (l *link) close() {
	l.cancel()
	<-l.ended
	l.mu.Lock()
	client := l.ready
	l.ready, l.err = nil, ErrClosed
	l.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// name says which server is meant.
func (l *link) name() string {
	servers := strings.Join(l.config.Addresses, ", ")
	if l.config.Sentinel.MasterName != "" {
		return fmt.Sprintf("the primary %q of the Sentinels %s", l.config.Sentinel.MasterName, servers)
	}
	return servers
}

var errNoCluster = errors.New("the server is not a node of a cluster; want Config.Cluster to be false")

// hints say what would be right, by a part of the error.
var hints = []struct{ part, hint string }{ //nolint:gochecknoglobals // never written
	{"NOAUTH", "it wants a password: set Config.Password or WithCredentials"},
	{"HELLO must be called with the client already authenticated", "it wants a password: set Config.Password or WithCredentials"},
	{"WRONGPASS", "it rejects the username or password"},
	{"invalid password", "it rejects the username or password"},
	{"without any password configured", "it has no password: leave Config.Password empty"},
	{"NOPERM", "its user may not run what doc.go lists under Servers"},
	{"READONLY", "it is a replica; want the address of the primary, or Config.Sentinel"},
	{"LOADING", "it is loading its data"},
	{"MASTERDOWN", "it is a replica without its primary"},
	{"MOVED", "it is a node of a cluster that names another node; want addresses that are reachable from here, and Config.Cluster"},
	{"CLUSTERDOWN", "the cluster does not serve all slots"},
	{"cluster support disabled", "it is not a node of a cluster; want one address, or Config.Sentinel"},
	{"OOM", "its memory is full, and its policy evicts no keys"},
	{"first record does not look like a TLS handshake", "it does not speak TLS; want no WithTLS"},
	{"tls:", "TLS fails"},
	{"x509:", "its certificate is not trusted"},
}

// explain returns an error that says which server has failed, and what would be right. It contains
// no password.
func (l *link) explain(err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, rueidis.ErrClosing) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	text := err.Error()
	for _, h := range hints {
		if strings.Contains(text, h.part) {
			return fmt.Errorf("ratelimitredis: %s: %s: %w", l.name(), h.hint, err)
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("ratelimitredis: %s: it closed the connection; does it want TLS (WithTLS)? %w", l.name(), err)
	}
	return fmt.Errorf("ratelimitredis: %s: %w", l.name(), err)
}
