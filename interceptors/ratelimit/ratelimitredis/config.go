package ratelimitredis

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// DefaultMaxKeys is the default of [Config.MaxKeys].
const DefaultMaxKeys = 1 << 16

const maxMaxKeys = 1 << 26

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
func (c Config) Validate() error {
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
	if c.Name == "" {
		fail("Name is empty; want the name of the service, which all its nodes have")
	}
	if c.Username != "" && c.Password == "" {
		fail("Username is set without Password")
	}
	if c.DB < 0 {
		fail("DB is %d; want the number of a database", c.DB)
	}
	errs = append(errs, c.checkTopology())
	if c.MaxKeys < 0 || c.MaxKeys > maxMaxKeys {
		fail("MaxKeys is %d; want 1 to %d, or 0 for %d", c.MaxKeys, maxMaxKeys, DefaultMaxKeys)
	}
	return errors.Join(errs...)
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
