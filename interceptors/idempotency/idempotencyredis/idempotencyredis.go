package idempotencyredis

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/redisconn"
)

//go:embed store.lua
var script string

// ErrClosed is found by errors.Is after Close.
var ErrClosed = errors.New("idempotencyredis: the store is closed")

// Store is an idempotency.Store in Redis or Valkey. Make it with [New]. Any number of interceptors may use
// it. Safe for concurrent use.
type Store struct {
	name       string
	connection redisconn.Config
	connector  *redisconn.Connector
	script     *rueidis.Lua
	err        error
}

var _ idempotency.Store = (*Store)(nil)

// New returns a store, and begins to connect to the server. idempotency.New reports what is wrong with its
// configuration. Close it at the end.
func New(config Config, opts ...Option) *Store {
	s := &Store{name: config.Name, connection: config.connection(), script: rueidis.NewLuaScript(script)}
	nils := options.Apply(opts, func(o Option) { o.apply(s) })
	var errs []error
	for _, err := range append(config.problems(s.connection), s.err, nils) {
		if err != nil {
			errs = append(errs, fmt.Errorf("idempotencyredis: %w", err))
		}
	}
	s.err = errors.Join(errs...)
	if s.err == nil {
		s.connector = redisconn.Connect(s.connection)
	}
	return s
}

// Validate returns what is wrong with the arguments of [New].
func (s *Store) Validate() error {
	switch {
	case s == nil || s.script == nil:
		return errors.New("idempotencyredis: a zero Store has no server; make one with idempotencyredis.New")
	case s.err != nil:
		return s.err
	default:
		return nil
	}
}

// Close closes the connections. The methods then return [ErrClosed]. It may be called again.
func (s *Store) Close() error {
	if s.connector != nil {
		s.connector.Close()
	}
	return nil
}

// answer is what the script returns.
type answer struct {
	number  int64
	of      string
	outcome string
}

// run calls the script for a key.
func (s *Store) run(ctx context.Context, key idempotency.Key, args ...string) (answer, error) {
	if s.connector == nil {
		return answer{}, s.Validate()
	}
	sum := sha256.Sum256(append([]byte(s.name+"\x00"), key[:]...))
	name := "hauberk:idempotency:" + hex.EncodeToString(sum[:])
	exec := func(ctx context.Context, client rueidis.Client) ([]rueidis.RedisMessage, error) {
		return s.script.Exec(ctx, client, []string{name}, args).ToArray()
	}
	fields, err := redisconn.Do(ctx, s.connector, exec)
	if err != nil {
		full := strings.Contains(err.Error(), redisconn.Full)
		if err = s.connector.Explain(err); full {
			err = fmt.Errorf("%w: %w", idempotency.ErrFull, err)
		}
		return answer{}, err
	}
	if len(fields) != 3 {
		return answer{}, fmt.Errorf("idempotencyredis: the script returned %d fields; want 3", len(fields))
	}
	var a answer
	var errs [3]error
	a.number, errs[0] = fields[0].AsInt64()
	a.of, errs[1] = fields[1].ToString()
	a.outcome, errs[2] = fields[2].ToString()
	if err := errors.Join(errs[:]...); err != nil {
		return answer{}, fmt.Errorf("idempotencyredis: the script returned something else than expected: %w", err)
	}
	return a, nil
}

// Begin is that of idempotency.Store.
func (s *Store) Begin(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, lease time.Duration,
) (r idempotency.Record, err error) {
	a, err := s.run(ctx, key, "begin", owner, string(of[:]), millis(lease))
	if err != nil {
		return r, err
	}
	if len(a.of) != len(of) || a.number < 0 || a.number > int64(idempotency.Finished) {
		return r, fmt.Errorf("idempotencyredis: the key has state %d and a fingerprint of %d bytes",
			a.number, len(a.of))
	}
	r.State, r.Outcome = idempotency.State(a.number), []byte(a.outcome)
	copy(r.Fingerprint[:], a.of)
	return r, nil
}

// Renew is that of idempotency.Store.
func (s *Store) Renew(
	ctx context.Context, key idempotency.Key, owner string, lease time.Duration,
) (held bool, err error) {
	a, err := s.run(ctx, key, "renew", owner, "", millis(lease))
	return a.number == 1, err
}

// Finish is that of idempotency.Store.
func (s *Store) Finish(
	ctx context.Context, key idempotency.Key, owner string, of idempotency.Fingerprint, outcome []byte,
	ttl time.Duration,
) (held bool, err error) {
	a, err := s.run(ctx, key, "finish", owner, string(of[:]), millis(ttl), string(outcome))
	return a.number == 1, err
}

// Release is that of idempotency.Store.
func (s *Store) Release(ctx context.Context, key idempotency.Key, owner string) error {
	_, err := s.run(ctx, key, "release", owner)
	return err
}

// millis returns a time in whole milliseconds, at least 1.
func millis(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}
