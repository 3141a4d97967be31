package idempotency

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Header is the metadata key of idempotency keys.
const Header = "idempotency-key"

// The defaults of [Config].
const (
	DefaultTTL            = 24 * time.Hour
	DefaultMemoryTTL      = time.Hour
	DefaultLease          = 30 * time.Second
	DefaultMaxRun         = 5 * time.Minute
	DefaultMaxKeyBytes    = 255
	DefaultMaxResultBytes = 1 << 20
	DefaultRetryAfter     = 100 * time.Millisecond
	DefaultStoreTimeout   = time.Second
)

// The bounds of settings.
const (
	minLease       = 10 * time.Millisecond
	maxDuration    = 366 * 24 * time.Hour
	maxKeyBytes    = 4096
	maxResultBytes = 64 << 20
)

// Config holds the settings of [New]. The zero value covers all unary methods that are not
// idempotent. All settings but Methods are for servers.
type Config struct {
	// Methods are patterns of the unary methods that are covered.
	Methods []string
	// Required rejects calls of covered methods without a key. Otherwise they pass.
	Required bool
	// TTL is how long an outcome is kept. The default is DefaultTTL, or DefaultMemoryTTL for a [Memory].
	TTL time.Duration
	// Lease is the time after which the key of a call is free if its server does not renew the lease,
	// at least 10 ms. The default is DefaultLease.
	Lease time.Duration
	// MaxRun is the longest time of a call. The default is DefaultMaxRun.
	MaxRun time.Duration
	// RejectRunning rejects calls whose key runs. Otherwise they wait.
	RejectRunning bool
	// RetryAfter is the delay that rejections ask for. The default is DefaultRetryAfter.
	RetryAfter time.Duration
	// NotKept are the codes of errors that are not kept. nil means CANCELLED, UNAVAILABLE,
	// RESOURCE_EXHAUSTED and ABORTED.
	NotKept []codes.Code
	// MaxKeyBytes is the greatest length of a key, at most 4096. The default is DefaultMaxKeyBytes.
	MaxKeyBytes int
	// MaxResultBytes is the greatest size of an outcome that is kept, at most 64 MiB. The default is
	// DefaultMaxResultBytes.
	MaxResultBytes int
	// StoreTimeout is the longest time of a request to the store, with the transfer of an outcome: allow for that
	// of MaxResultBytes. The default is DefaultStoreTimeout.
	StoreTimeout time.Duration
	// FailOpen executes calls while the store fails, except those that have waited for the first call with their key.
	// Otherwise they are rejected.
	FailOpen bool
}

// withDefaults returns the configuration with its defaults for a store.
func (c Config) withDefaults(store Store) Config {
	if _, memory := store.(*Memory); memory {
		c.TTL = cmp.Or(c.TTL, DefaultMemoryTTL)
	}
	c.TTL = cmp.Or(c.TTL, DefaultTTL)
	c.Lease = cmp.Or(c.Lease, DefaultLease)
	c.MaxRun = cmp.Or(c.MaxRun, DefaultMaxRun)
	c.RetryAfter = cmp.Or(c.RetryAfter, DefaultRetryAfter)
	c.MaxKeyBytes = cmp.Or(c.MaxKeyBytes, DefaultMaxKeyBytes)
	c.MaxResultBytes = cmp.Or(c.MaxResultBytes, DefaultMaxResultBytes)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, DefaultStoreTimeout)
	if c.NotKept == nil {
		c.NotKept = []codes.Code{codes.Canceled, codes.Unavailable, codes.ResourceExhausted, codes.Aborted}
	}
	return c
}

// check returns everything that is wrong with a configuration that has its defaults.
func (c Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"TTL", c.TTL, time.Millisecond},
		{"Lease", c.Lease, minLease},
		{"MaxRun", c.MaxRun, time.Millisecond},
		{"RetryAfter", c.RetryAfter, time.Millisecond},
		{"StoreTimeout", c.StoreTimeout, time.Millisecond},
	} {
		if d.value < d.least || d.value > maxDuration {
			fail("%s is %v; want at least %v and at most %v", d.name, d.value, d.least, maxDuration)
		}
	}
	if c.MaxKeyBytes < 1 || c.MaxKeyBytes > maxKeyBytes {
		fail("MaxKeyBytes is %d; want 1 to %d, or 0 for %d", c.MaxKeyBytes, maxKeyBytes, DefaultMaxKeyBytes)
	}
	if c.MaxResultBytes < 1 || c.MaxResultBytes > maxResultBytes {
		fail("MaxResultBytes is %d; want 1 to %d, or 0 for %d", c.MaxResultBytes, maxResultBytes, DefaultMaxResultBytes)
	}
	for _, code := range c.NotKept {
		if code == codes.OK || code > codes.Unauthenticated {
			fail("NotKept has %v; want codes of errors", code)
		}
	}
	return errors.Join(errs...)
}

// methods parses Methods.
func (c Config) methods() (pattern.Set, error) {
	set, bad := pattern.ParseAll(c.Methods)
	errs := make([]error, 0, len(bad))
	for _, text := range bad {
		errs = append(errs, fmt.Errorf("%s has %.100q; %s", "Methods", text, pattern.Want))
	}
	return set, errors.Join(errs...)
}

// covers reports whether calls of a method have keys.
func (x *Interceptor) covers(m *hauberk.Method) bool {
	switch {
	case m.Kind() != hauberk.Unary:
		return false
	case len(x.methods) > 0:
		return x.methods.Matches(m.Service(), m.Name())
	default:
		return !m.Idempotent()
	}
}
