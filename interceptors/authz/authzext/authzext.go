package authzext

import (
	"context"
	"errors"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// DynamicMetadata is the key of the dynamic_metadata in the service's answer, if it has one. The
// value must not be modified: calls share it.
var DynamicMetadata = hauberk.NewKey[*structpb.Struct]("ext_authz dynamic metadata")

const name = "authzext"

// Interceptor asks an external service whether a call on a server is authorized. Make it with
// [New]. It may be used by any number of chains at once.
type Interceptor struct {
	config         Config
	client         authv3.AuthorizationClient
	now            func() time.Time
	headers        keys
	withoutHeaders keys
	ownHeaders     keys
	clientHeaders  keys
	kept           *tokencache.Cache[hash, *answer] // that allow; nil without a cache
	denials        *tokencache.Cache[hash, *answer] // apart: callers that are denied displace no others
	made           bool
	err            error

	mu     sync.Mutex // guards asking
	asking map[hash]*sharedCheck
}

// New returns an interceptor for servers. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{
		config: config.withDefaults(), now: time.Now, made: true, asking: make(map[hash]*sharedCheck),
		headers: keysOr(config.Headers), withoutHeaders: newKeys(config.WithoutHeaders),
		ownHeaders: newKeys(config.OwnHeaders), clientHeaders: keysOr(config.ClientHeaders),
	}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.config.check(), x.err, nils)
	x.client = authv3.NewAuthorizationClient(config.Conn)
	if config.CacheFor > 0 {
		x.kept = tokencache.New[hash, *answer](x.config.MaxCached)
		x.denials = tokencache.New[hash, *answer](x.config.MaxCached)
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseAuthz, Sides: hauberk.OnlyServers,
		Writes: []hauberk.StateKey{DynamicMetadata}, Decides: true,
		Authorizes: func(*hauberk.Method) bool { return true }, Abstains: (*hauberk.Method).Public, Err: x.err,
	}
	if x.config.Identity != "" {
		d.Reads = []hauberk.StateKey{hauberk.IdentityKey}
	}
	if !x.made {
		d.Err = errors.New("a zero Interceptor has no service to ask; make one with authzext.New")
	}
	return d
}

// Intercept admits the call if the service allows it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	public := call.Public()
	if public {
		call.Abstain()
		if x.ownHeaders.empty() {
			return next(ctx, call)
		}
	}
	ctx, md := x.withoutOwn(ctx)
	if public {
		return next(ctx, call)
	}
	a, err := x.ask(ctx, call, md)
	if err != nil {
		return x.fail(ctx, call, next, err)
	}
	if a.metadata != nil {
		DynamicMetadata.Set(call, a.metadata)
	}
	if a.denied != nil {
		call.Decide(hauberk.Decision{Rule: a.rule, Verdict: hauberk.Rejected, Reason: ReasonDenied})
		return answered(call, a.denied, a.client)
	}
	if x.config.RecordAllowed || len(a.client) > 0 {
		call.Decide(hauberk.Decision{Rule: a.rule, Verdict: hauberk.Allowed})
	}
	if len(a.client) > 0 && !shadowed(call) {
		if err := call.SetHeader(a.client); err != nil {
			return err
		}
	}
	return next(a.edited(ctx, md), call)
}

// withoutOwn returns the metadata of the call without the keys that only the service sets, and a
// context that has it.
func (x *Interceptor) withoutOwn(ctx context.Context) (context.Context, metadata.MD) {
	md, _ := metadata.FromIncomingContext(ctx)
	if x.ownHeaders.empty() {
		return ctx, md
	}
	removed := false
	for key := range md {
		if x.ownHeaders.has(key) {
			delete(md, key) // md is a copy
			removed = true
		}
	}
	if removed {
		ctx = metadata.NewIncomingContext(ctx, md)
	}
	return ctx, md
}

// edited returns a context with the metadata as the service changes it. md is not modified, since
// ctx may have it.
func (a *answer) edited(ctx context.Context, md metadata.MD) context.Context {
	if len(a.edits) == 0 && len(a.removed) == 0 {
		return ctx
	}
	md = md.Copy()
	for _, e := range a.edits {
		e.apply(md)
	}
	for _, key := range a.removed {
		delete(md, key)
	}
	return metadata.NewIncomingContext(ctx, md)
}

// fail ends a call without an answer, or admits it.
func (x *Interceptor) fail(ctx context.Context, call *hauberk.Call, next hauberk.Next, err error) error {
	var f *failure
	switch {
	case errors.Is(err, ErrTooLarge):
		call.Decide(hauberk.Decision{Rule: TooLarge, Verdict: hauberk.Rejected, Reason: ReasonTooLarge})
		return err
	case !errors.As(err, &f):
		return err // of the call itself
	case f.opens && x.config.FailOpen:
		call.Decide(hauberk.Decision{Rule: FailedOpen, Verdict: hauberk.Allowed, Reason: ReasonUnavailable})
		return next(ctx, call)
	default:
		call.Decide(hauberk.Decision{Rule: Failed, Verdict: hauberk.Rejected, Reason: ReasonUnavailable})
		return answered(call, x.rejectionOf(f), f.trailer)
	}
}

// answered returns a rejection whose trailer has metadata for the client. In shadow the call goes
// on, and its trailer is that of the handler.
func answered(call *hauberk.Call, r *hauberk.Rejection, trailer metadata.MD) error {
	if len(trailer) > 0 && !shadowed(call) {
		if err := call.SetTrailer(trailer); err != nil {
			r = &hauberk.Rejection{
				Code: r.Code, Reason: r.Reason, Message: r.Message, Cause: errors.Join(r.Cause, err),
			}
		}
	}
	return r
}

// shadowed reports whether the last decision on the call, which is that of this interceptor, is not
// enforced.
func shadowed(call *hauberk.Call) bool {
	decisions := call.Decisions().Recorded()
	return len(decisions) > 0 && decisions[len(decisions)-1].Shadow
}
