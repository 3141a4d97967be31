package forward

import (
	"context"
	"errors"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor forwards metadata and state. Make it with [New]. It may be used by any number
// of chains at once.
type Interceptor struct {
	metadata []string
	states   []func(incoming context.Context, call *hauberk.Call)
	keys     []hauberk.StateKey // of states
	err      error
}

// New returns an interceptor for clients. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := new(Interceptor)
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	keys, err := config.keys()
	x.metadata, x.err = keys, errors.Join(nils, err)
	return x
}

// Declare describes the interceptor to the checks of a chain. It writes the state that it
// forwards, so that inner interceptors may read it. An incoming call may lack it all the same.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if err == nil && len(x.metadata)+len(x.states) == 0 {
		err = errors.New("it forwards nothing; name metadata in forward.Config or state with forward.State")
	}
	return hauberk.Declaration{
		Name: "forward", Phase: hauberk.PhaseRequestID, Sides: hauberk.OnlyClients, Writes: x.keys, Err: err,
	}
}

// Intercept copies the selected metadata and state from the incoming call to the outgoing one.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(x.states) > 0 {
		incoming := hauberk.Incoming(ctx)
		for _, forward := range x.states {
			forward(incoming, call)
		}
	}
	return next(x.withMetadata(ctx, call), call)
}

// withMetadata returns the context with the metadata to forward. The context of a call comes
// from that of its handler, which has the metadata as the server's interceptors left it. The
// context of the incoming call ([hauberk.Incoming]) has what the caller sent.
func (x *Interceptor) withMetadata(ctx context.Context, call *hauberk.Call) context.Context {
	var pairs []string
	for _, key := range x.metadata {
		values := metadata.ValueFromIncomingContext(ctx, key)
		if len(values) == 0 || len(call.Metadata(ctx, key)) > 0 {
			continue
		}
		for _, value := range values {
			pairs = append(pairs, key, value)
		}
	}
	if len(pairs) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}
