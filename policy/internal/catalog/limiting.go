package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// limiting adds the interceptors with limits and stores.
func (c *Catalog) limiting() {
	add(c, "rate_limit", hauberk.BothSides, "Limits the rate of calls, messages or bytes by any key.", buildRateLimit)
	plain(c, "concurrency", hauberk.BothSides, "Limits the calls in flight.",
		func(b *Build, config concurrency.Config) hauberk.Interceptor {
			return concurrency.New(config, options[concurrency.Option](nil).
				when(b.Clock != nil, func() concurrency.Option { return concurrency.WithClock(b.Clock) })...)
		})
	add(c, "idempotency", hauberk.BothSides, "Executes each idempotency key once.", buildIdempotency)
}

// rateLimitForm is a rate limit with its store.
type rateLimitForm struct {
	ratelimit.Config

	// Redis keeps the quotas in a Redis or Valkey, for several servers. The default is the memory of the process.
	Redis *redisForm
	// RLS asks a service of Envoy's rate limit protocol.
	RLS *rlsForm
}

// redisForm is a Redis or Valkey.
type redisForm struct {
	ratelimitredis.Config

	// PasswordFile is a file with the password, which is read for each connection, in place of password.
	PasswordFile string
	// TLS connects with TLS. The default is without.
	TLS *limitsfile.TLS
}

// rlsForm is a rate limit service.
type rlsForm struct {
	ratelimitrls.Config
	connForm
}

// noStore takes the place of a store if interceptors are only checked.
type noStore struct{}

// Open returns quotas that are not known.
func (noStore) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return noStore{}, nil }

// Take fails.
func (noStore) Take(context.Context, time.Duration, []ratelimit.Demand, []ratelimit.Decision) error {
	return errChecked
}

// Charge fails.
func (noStore) Charge(context.Context, time.Duration, []ratelimit.Demand) error { return errChecked }

var errChecked = errors.New("the policy was only checked")

func buildRateLimit(b *Build, form *rateLimitForm) (hauberk.Interceptor, error) {
	opts := options[ratelimit.Option]{ratelimit.WithLogger(b.Logger)}.
		when(b.Clock != nil, func() ratelimit.Option { return ratelimit.WithClock(b.Clock) })
	store, err := form.store(b)
	if err != nil {
		return nil, err
	}
	if store != nil {
		opts = append(opts, ratelimit.WithStore(store))
	}
	return ratelimit.New(form.Config, opts...), nil
}

// store returns the store of the quotas, or nil.
func (f *rateLimitForm) store(b *Build) (ratelimit.Store, error) {
	switch {
	case f.Redis != nil && f.RLS != nil:
		return nil, errors.New("rate_limit has redis and rls; want one of them")
	case f.Redis != nil:
		return f.Redis.open(b)
	case f.RLS != nil:
		conn, err := f.RLS.dial(b)
		if err != nil {
			return nil, err
		}
		return ratelimitrls.New(conn, f.RLS.Config), nil
	default:
		return nil, nil //nolint:nilnil // the caller checks for nil
	}
}

func (f *redisForm) open(b *Build) (ratelimit.Store, error) {
	config := f.Config
	if f.PasswordFile != "" {
		config.Password = "of the file"
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if b.CheckOnly {
		if f.TLS != nil {
			if _, err := tlsOf(b, f.TLS); err != nil {
				return nil, err
			}
		}
		return noStore{}, nil
	}
	if f.TLS != nil {
		b.readOnce(f.TLS.CAFile)
	}
	redis := limitsfile.Redis{Config: f.Config, PasswordFile: f.PasswordFile, TLS: f.TLS}
	store, closeAll, err := redis.Open()
	if err != nil {
		return nil, err
	}
	b.OnClose(closeAll)
	return store, nil
}

// idempotencyForm is idempotency with its store.
type idempotencyForm struct {
	idempotency.Config

	// Memory bounds the store in the memory of the process, which is the default. Entries with the same bounds share
	// it, also after a reload that changes other settings. With other bounds it begins without keys.
	Memory *idempotency.MemoryConfig
	// Redis keeps keys and outcomes in a Redis or Valkey, for several servers.
	Redis *idempotencyRedisForm
}

// idempotencyRedisForm is a Redis or Valkey.
type idempotencyRedisForm struct {
	idempotencyredis.Config

	// TLS connects with TLS. The default is without.
	TLS *limitsfile.TLS
}

func buildIdempotency(b *Build, form *idempotencyForm) (hauberk.Interceptor, error) {
	opts := options[idempotency.Option]{idempotency.WithLogger(b.Logger)}
	switch {
	case form.Memory != nil && form.Redis != nil:
		return nil, errors.New("idempotency has memory and redis; want one of them")
	case form.Redis != nil:
		store, err := form.Redis.open(b)
		if err != nil {
			return nil, err
		}
		opts = append(opts, idempotency.WithStore(store))
	default:
		var bounds idempotency.MemoryConfig
		if form.Memory != nil {
			bounds = *form.Memory
		}
		memory, release := b.KeyMemories.Open(bounds)
		b.OnClose(release)
		opts = append(opts, idempotency.WithStore(memory))
	}
	return idempotency.New(form.Config, opts...), nil
}

func (f *idempotencyRedisForm) open(b *Build) (idempotency.Store, error) {
	var opts []idempotencyredis.Option
	if f.TLS != nil {
		config, err := tlsOf(b, f.TLS)
		if err != nil {
			return nil, err
		}
		opts = append(opts, idempotencyredis.WithTLS(config))
	}
	if b.CheckOnly {
		return idempotency.NewMemory(idempotency.MemoryConfig{}), f.Validate()
	}
	store := idempotencyredis.New(f.Config, opts...)
	b.own(store)
	return store, nil
}
