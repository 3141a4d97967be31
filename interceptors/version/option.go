package version

import (
	"context"
	"errors"

	"github.com/hauberk-rpc/hauberk"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// WithClient uses client to find the name and the version of a call's client, in place of
// Config.Metadata: from a certificate, or from an application's own metadata. Values of another form than
// the package's documentation states are not known. client must be safe for concurrent use.
func WithClient(client func(ctx context.Context, call *hauberk.Call) (name, version string)) Option {
	return option(func(x *Interceptor) {
		if x.client = client; client == nil {
			x.err = errors.Join(x.err, errors.New("WithClient was given a nil function"))
		}
	})
}
