package coalesce

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithKey adds what key returns to the key of a call, which is then equal only to calls of the same
// part. If ok is false, the call passes. key must not modify the request, and must be safe for
// concurrent use. If it panics, the call ends with INTERNAL and [ReasonKeyPanicked].
func WithKey(key func(ctx context.Context, call *hauberk.Call, request any) (part string, ok bool)) Option {
	return option(func(x *Interceptor) {
		if x.key = key; key == nil {
			x.err = errors.Join(x.err, errors.New("WithKey was given a nil function"))
		}
	})
}

// WithLogger logs panics of flights that all callers have left. The default is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(x *Interceptor) {
		if x.log = log; log == nil {
			x.err = errors.Join(x.err, errors.New("WithLogger was given a nil Logger"))
		}
	})
}
