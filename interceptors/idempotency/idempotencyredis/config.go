package idempotencyredis

import (
	"errors"
	"fmt"

	"github.com/hauberk-rpc/hauberk/internal/redisconn"
)

// maxText is the greatest size of a request or an answer, in bytes: that of the largest outcome
// (idempotency.Config.MaxResultBytes), with room for the rest.
const maxText = 65 << 20

// Config holds the settings of [New]. Addresses and Name must be set.
type Config struct {
	// Addresses are "host:port" of the server, of nodes of a cluster, or of Sentinels. Several
	// addresses without Sentinel are those of a cluster. URLs are not addresses.
	Addresses []string
	// Name is part of every key. Services that share a server have different names; the nodes of
	// a service have the same.
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
	if c.Name == "" {
		errs = append(errs, fmt.Errorf("%s is empty; want the name of the service, which all its nodes have", "Name"))
	}
	return errs
}

// connection returns the settings of the connection.
func (c Config) connection() redisconn.Config {
	return redisconn.Config{
		Addresses: c.Addresses, Username: c.Username, Password: c.Password, DB: c.DB,
		Sentinel: redisconn.Sentinel(c.Sentinel), Cluster: c.Cluster,
		Owner: "idempotencyredis", Closed: ErrClosed, MaxText: maxText,
	}
}
