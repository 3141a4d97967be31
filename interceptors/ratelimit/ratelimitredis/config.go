package ratelimitredis

import (
	"errors"
	"fmt"

	"github.com/hauberk-rpc/hauberk/internal/redisconn"
)

// DefaultMaxKeys is the default of [Config.MaxKeys].
const DefaultMaxKeys = 1 << 16

const (
	maxMaxKeys = 1 << 26
	maxText    = 16 << 20 // of requests and answers, in bytes
)

// Config holds the settings of [New]. Addresses and Name must be set.
type Config struct {
	// Addresses are "host:port" of the server, of nodes of a cluster, or of Sentinels. Several
	// addresses without Sentinel are those of a cluster. URLs are not addresses. Errors and logs contain
	// an address only if it is valid, since others may contain a password.
	Addresses []string
	// Name is part of every key. Limits with the same name share quotas.
	Name string
	// Username and Password authenticate to the server. Without Username the user is "default". See
	// also [WithCredentials].
	Username, Password string
	// DB is the number of the database. A cluster has only 0.
	DB int
	// Sentinel is how to find the primary with Sentinels.
	Sentinel Sentinel
	// Cluster requires a cluster. Otherwise a cluster is recognized if the server is one.
	Cluster bool
	// NoLeases asks the server for each call that is not rejected by what is known.
	NoLeases bool
	// MaxKeys is the number of keys of a limit that a node keeps leases and answers of, and as many
	// peers. The least recently used key is evicted; its quota remains in the server. The default
	// is DefaultMaxKeys.
	MaxKeys int
}

// Sentinel names a primary that Sentinels watch.
type Sentinel struct {
	// MasterName is the name of the primary. If it is set, Addresses are those of Sentinels.
	MasterName string
	// Username and Password authenticate to the Sentinels.
	Username, Password string
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error { return errors.Join(c.problems(c.connection())...) }

// problems returns what is wrong, with what options have added to the connection.
func (c Config) problems(connection redisconn.Config) []error {
	errs := connection.Problems()
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		fail("Name is empty; want the name of the service, which all its nodes have")
	}
	if c.MaxKeys < 0 || c.MaxKeys > maxMaxKeys {
		fail("MaxKeys is %d; want 1 to %d, or 0 for %d", c.MaxKeys, maxMaxKeys, DefaultMaxKeys)
	}
	return errs
}

// connection returns the settings of the connection.
func (c Config) connection() redisconn.Config {
	return redisconn.Config{
		Addresses: c.Addresses, Username: c.Username, Password: c.Password, DB: c.DB,
		Sentinel: redisconn.Sentinel(c.Sentinel), Cluster: c.Cluster,
		Owner: "ratelimitredis", Closed: ErrClosed, MaxText: maxText,
	}
}
