package idempotencyredis

import (
	"crypto/tls"
	"errors"

	"github.com/hauberk-rpc/hauberk/internal/redisconn"
)

// Option sets a dependency of a [Store].
type Option interface{ apply(s *Store) }

type option func(s *Store)

func (f option) apply(s *Store) { f(s) }

// WithTLS connects with TLS, to Sentinels too. config is cloned; without ServerName, the name is the
// host of the address.
func WithTLS(config *tls.Config) Option {
	return option(func(s *Store) { s.err = errors.Join(s.err, redisconn.UseTLS(&s.connection, config)) })
}

// WithCredentials calls credentials before each connection to a server, in place of Config.Username and
// Config.Password. It must be safe for concurrent use, and must return soon. An empty username is
// "default".
func WithCredentials(credentials func() (username, password string, err error)) Option {
	return option(func(s *Store) { s.err = errors.Join(s.err, redisconn.UseCredentials(&s.connection, credentials)) })
}
