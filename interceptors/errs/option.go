package errs

import (
	"context"
	"errors"
	"fmt"

	"github.com/hauberk-rpc/hauberk"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// WithReference uses reference to make the references of masked errors, in place of 16 random hexadecimal digits:
// the request ID, the trace ID, or a hash of the error. It may also report the error. err is the error of the
// handler. If it returns "" or panics, the status has no reference. A reference is cut after 128 bytes. reference must
// be safe for concurrent use.
func WithReference(reference func(ctx context.Context, call *hauberk.Call, err error) string) Option {
	return option(func(x *Interceptor) {
		if x.reference = reference; reference == nil {
			x.failf("WithReference was given a nil function")
		}
	})
}

// WithUnmapped calls report for each error on a server that has no entry, no status and no context error, such as to
// fail a test with hauberktest.Unmapped. err is the error of the handler. A panic of report is contained. report must
// be safe for concurrent use.
func WithUnmapped(report func(ctx context.Context, call *hauberk.Call, err error)) Option {
	return option(func(x *Interceptor) {
		if x.unmapped = report; report == nil {
			x.failf("WithUnmapped was given a nil function")
		}
	})
}

// WithCodecErrors calls report if details of an error cannot be encoded or decoded. err says why, and for which
// reason. A panic of report is contained. report must be safe for concurrent use.
func WithCodecErrors(report func(ctx context.Context, call *hauberk.Call, err error)) Option {
	return option(func(x *Interceptor) {
		if x.codecErrors = report; report == nil {
			x.failf("WithCodecErrors was given a nil function")
		}
	})
}
