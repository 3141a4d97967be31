package decisiontrace

import (
	"context"
	"errors"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// requested is the value of the metadata that requests the trace.
const requested = "1"

// Interceptor returns the decisions on calls to selected callers. Make it with [New]. It is safe for
// concurrent use by any number of server chains.
type Interceptor struct {
	config     Config
	identities map[string]bool
	identity   hauberk.Key[string]
	err        error
}

// New returns an interceptor for servers. Place it outermost. hauberk.New reports errors in its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), identities: make(map[string]bool)}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	for _, id := range config.Identities {
		x.identities[id] = true
	}
	x.err = errors.Join(x.config.check(), nils)
	if x.identity.Name() == "" {
		x.err = errors.Join(x.err, errNoKey)
	}
	return x
}

var errNoKey = errors.New("the option By is missing; want By(authn.User), or another key of identities")

// Declare returns the interceptor's name, its phase, its side and the errors in its configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.identities == nil {
		err = errors.New("a zero Interceptor; make it with decisiontrace.New")
	}
	return hauberk.Declaration{
		Name: "decisiontrace", Phase: hauberk.PhaseRequestID, Sides: hauberk.OnlyServers, Err: err,
	}
}

// Intercept adds the trace to the trailer when the call has ended, if the caller requests it and is
// permitted to receive it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	defer x.setTrailer(ctx, call) // deferred for calls that end by runtime.Goexit
	return next(ctx, call)
}

// setTrailer sets the trailer. It ignores the error of a call that has already ended. It checks the
// identity first: most identities are not listed, and looking up the metadata takes longer.
func (x *Interceptor) setTrailer(ctx context.Context, call *hauberk.Call) {
	if identity, ok := x.identity.Get(call); !ok || !x.identities[identity] || !x.isRequested(ctx, call) {
		return
	}
	if trace := call.Decisions().All(); x.authenticated(trace) {
		_ = call.SetTrailer(metadata.MD{x.config.Trailer: {encode(trace, x.config.MaxBytes)}})
	}
}

func (x *Interceptor) isRequested(ctx context.Context, call *hauberk.Call) bool {
	sent := call.Metadata(ctx, x.config.Request)
	return len(sent) == 1 && sent[0] == requested
}

// authenticated reports whether the authenticating interceptor allowed the call, and has not rejected it
// later. Its decision must be enforced.
func (x *Interceptor) authenticated(trace []hauberk.Decision) bool {
	passed := false
	for _, d := range trace {
		if d.Interceptor != x.config.Authenticator || d.Shadow {
			continue
		}
		if d.Verdict != hauberk.Allowed {
			return false
		}
		passed = true
	}
	return passed
}
