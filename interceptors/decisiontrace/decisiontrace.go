package decisiontrace

import (
	"context"
	"errors"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/wrongside"
)

// asks is the value that asks.
const asks = "1"

// Interceptor tells some callers what was decided on their calls. Make it with
// [New]. It may be used by any number of chains at once, of servers.
type Interceptor struct {
	config     Config
	identities map[string]bool
	identity   hauberk.Key[string]
	err        error
}

// Option changes what an [Interceptor] depends on.
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

// By says where the identity stands in a call's state once the call is
// authenticated, such as authn.User. It must be given.
func By(identity hauberk.Key[string]) Option {
	return option(func(x *Interceptor) { x.identity = identity })
}

// New returns an interceptor for servers, to stand outermost. What is wrong with
// its configuration is reported by hauberk.New.
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

var errNoKey = errors.New("it does not know where identities stand; want By(authn.User), or another key")

// Declare tells chains where the interceptor stands, and what is wrong with its
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.identities == nil {
		err = errors.New("a zero Interceptor; make it with decisiontrace.New")
	}
	return hauberk.Declaration{Name: "decisiontrace", Phase: hauberk.PhaseRequestID, Err: err}
}

// Intercept tells the caller what was decided, once the call is over, if it asks
// and may know.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Side() == hauberk.ClientSide {
		return errServersOnly
	}
	defer x.tell(ctx, call) // of a call whose goroutine ends by runtime.Goexit, too
	return next(ctx, call)
}

// tell sets the trailer. That fails if the call is over already, and then there is
// no one to tell. The identity is asked for first: of most calls it is not listed,
// and to miss a key of the metadata takes longer.
func (x *Interceptor) tell(ctx context.Context, call *hauberk.Call) {
	if identity, ok := x.identity.Get(call); !ok || !x.identities[identity] || !x.asked(ctx, call) {
		return
	}
	if trace := call.Decisions().All(); x.authenticated(trace) {
		_ = call.SetTrailer(metadata.MD{x.config.Trailer: {encode(trace, x.config.MaxBytes)}})
	}
}

func (x *Interceptor) asked(ctx context.Context, call *hauberk.Call) bool {
	sent := call.Metadata(ctx, x.config.Request)
	return len(sent) == 1 && sent[0] == asks
}

// authenticated reports whether the call passed the interceptor that authenticates, and
// that stands by it. State alone proves nothing: an interceptor may set it and then
// reject, or be in shadow.
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

var errServersOnly = wrongside.ForServers("decisiontrace.New")
