// Package redisconn connects to Redis and Valkey in the background, for the stores in them: a single
// server, a primary that Sentinels name, or a cluster. A store needs no server when it is made, and finds it
// when it is there. Answers that are not well-formed end a connection, not the process.
package redisconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/redis/rueidis"
)

const (
	bufferOfConn = 64 << 10
	unresponsive = time.Second // for a connection attempt, and without an answer until a ping is sent
	refresh      = time.Second // of what Sentinels say
	maxMoved     = 4           // redirections of a request
)

// Config holds the settings of [Connect]: those of the Config of a store, which documents them, and of the
// store itself.
type Config struct {
	Addresses          []string
	Username, Password string
	DB                 int
	Sentinel           Sentinel
	Cluster            bool

	TLS         *tls.Config                                   // nil for none
	Credentials func() (username, password string, err error) // nil for Username and Password

	Owner   string // the package of the store, for errors
	Closed  error  // after Close
	MaxText int    // of requests and answers, in bytes
}

// Sentinel is how Sentinels name the primary.
type Sentinel struct {
	MasterName         string
	Username, Password string
}

// UseTLS is the option WithTLS of a store. It clones config.
func UseTLS(c *Config, config *tls.Config) error {
	if config == nil {
		return errors.New("WithTLS was given a nil Config")
	}
	c.TLS = config.Clone()
	return nil
}

// UseCredentials is the option WithCredentials of a store.
func UseCredentials(c *Config, credentials func() (username, password string, err error)) error {
	if credentials == nil {
		return errors.New("WithCredentials was given a nil function")
	}
	c.Credentials = credentials
	return nil
}

// Validate returns everything that is wrong with the settings of the store's Config.
func (c Config) Validate() error { return errors.Join(c.Problems()...) }

// Problems returns everything that is wrong with the configuration, each by itself.
func (c Config) Problems() []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Addresses) == 0 {
		fail("Addresses is empty; want at least one \"host:port\"")
	}
	for i, a := range c.Addresses {
		if !isAddress(a) {
			fail("Addresses[%d] is not an address; want \"host:port\", and a password in Password", i)
		}
	}
	if c.Username != "" && c.Password == "" {
		fail("Username is set without Password")
	}
	if c.Credentials != nil && (c.Username != "" || c.Password != "") {
		fail("WithCredentials was given, and Config has a Username or Password; want one of them")
	}
	if c.DB < 0 {
		fail("DB is %d; want the number of a database", c.DB)
	}
	if err := c.checkTopology(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// isAddress reports whether text is a host and the number of a port, and nothing else: connection strings
// of other clients have passwords, some of them behind what looks like an address.
func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_:%", r)
	})
}

// checkTopology returns what is wrong with the combination of Cluster, Sentinel and DB.
func (c Config) checkTopology() error {
	sentinel := c.Sentinel.MasterName != ""
	switch clustered := c.Cluster || len(c.Addresses) > 1 && !sentinel; {
	case clustered && c.DB > 0:
		return fmt.Errorf("DB is %d; want 0, since a cluster has no other", c.DB)
	case c.Cluster && sentinel:
		return errors.New("both Cluster and Sentinel.MasterName are set; want one of them")
	case !sentinel && c.Sentinel != (Sentinel{}):
		return errors.New("the Sentinel has credentials without a MasterName")
	default:
		return nil
	}
}

// options are those of the client.
func (c Config) options() rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: c.Password, SelectDB: c.DB,
		TLSConfig: c.TLS, ClientName: "hauberk", ClientSetInfo: rueidis.DisableClientSetInfo,
		DisableCache: true, DisableRetry: true, AlwaysPipelining: true, RingScaleEachConn: 10,
		ReadBufferEachConn: bufferOfConn, WriteBufferEachConn: bufferOfConn, BlockingPoolSize: 1, BlockingPipeline: -1,
		ConnWriteTimeout: 2 * time.Minute, // for a whole answer; a watch ends a connection without progress
		Sentinel: rueidis.SentinelOption{
			MasterSet: c.Sentinel.MasterName, Username: c.Sentinel.Username, Password: c.Sentinel.Password,
			TLSConfig: c.TLS, ClientName: "hauberk", TopologyRefreshInterval: refresh,
		},
		ClusterOption: rueidis.ClusterOption{MaxMovedRedirections: maxMoved},
	}
	o.Dialer.Timeout, o.Dialer.KeepAlive = unresponsive, unresponsive
	o.Sentinel.Dialer = o.Dialer
	if c.Credentials != nil {
		o.AuthCredentialsFn = func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			return authenticate(c.Credentials)
		}
	}
	return o
}

// authenticate calls a function for credentials. The client does so on goroutines on which no one recovers a panic.
func authenticate(credentials func() (string, string, error)) (auth rueidis.AuthCredentials, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function given to WithCredentials panicked: %v", p)
		}
	}()
	auth.Username, auth.Password, err = credentials()
	return auth, err
}
