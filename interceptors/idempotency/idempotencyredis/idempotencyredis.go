package idempotencyredis

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

//go:embed store.lua
var script string

// Store is an idempotency.Store in Redis or Valkey. Make it with [New]. Any number of interceptors may use
// it. Safe for concurrent use.
type Store struct {
	client rueidis.Client
	config Config
	script *rueidis.Lua
}

var _ idempotency.Store = (*Store)(nil)

// New returns a store that uses a client, which belongs to the application. idempotency.New reports what
// is wrong.
func New(client rueidis.Client, config Config) *Store {
	return &Store{client: client, config: config, script: rueidis.NewLuaScript(script)}
}

// Validate returns what is wrong with the arguments of [New].
func (s *Store) Validate() error {
	var errs []error
	if s.client == nil {
		errs = append(errs, errors.New("idempotencyredis: New was given a nil Client"))
	}
	if s.config.Name == "" {
		errs = append(errs, errors.New("idempotencyredis: Name is empty; want the name of the service, "+
			"which all its nodes have"))
	}
	return errors.Join(errs...)
}

// answer is what the script returns.
type answer struct {
	number  int64
	of      string
	outcome string
}

// run calls the script for a key.
func (s *Store) run(ctx context.Context, key idempotency.Key, args ...string) (answer, error) {
	sum := sha256.Sum256(append([]byte(s.config.Name+"\x00"), key[:]...))
	name := "hauberk:idempotency:" + hex.EncodeToString(sum[:])
	fields, err := s.script.Exec(ctx, s.client, []string{name}, args).ToArray()
	if err != nil {
		return answer{}, fmt.Errorf("idempotencyredis: %w", err)
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
