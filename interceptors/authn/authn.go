package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// name is what the interceptors are called in decisions and errors.
const name = "authn"

// Validator checks a token and says whose it is. It runs on the call's goroutine,
// for many calls at once, and gives up when ctx is done: the call waits for it. The
// token is well-formed (a b64token of RFC 6750); it is not to be logged.
//
// What it returns decides on the call:
//
//   - an Identity with a Subject admits it;
//   - [ErrInvalidToken], wrapped or not, rejects it with UNAUTHENTICATED, "Invalid
//     token", and [ErrTokenExpired] with UNAUTHENTICATED, "Token expired";
//   - a rejection of [hauberk.Reject] is the call's outcome as it is;
//   - the gRPC status UNAUTHENTICATED or PERMISSION_DENIED rejects it with that code,
//     its message and its details, and the reason ReasonInvalidToken or
//     ReasonPermissionDenied;
//   - any other error with a gRPC status ends the call with that status and its
//     message, which are sent to the client: the validator has failed;
//   - an error of any other kind, and the status UNKNOWN, end it with UNAVAILABLE,
//     "Token validation failed", or if ctx is done with the status of that;
//   - nothing at all, or an Identity without a Subject, is INTERNAL.
//
// All but the message of a status stays in the process.
type Validator func(ctx context.Context, token string) (*Identity, error)

// Config holds the settings of [New]. The zero value validates the token of every call.
type Config struct {
	// CachedTokens is how many accepted tokens are kept, so that the validator does not run
	// for each call: as a rule of thumb, one for each caller. 0 keeps none. Rejected tokens
	// are not kept. A kept token is accepted until it expires, even if it is revoked
	// meanwhile: see CacheFor. Callers that send many different tokens displace each other's,
	// not those in use.
	CachedTokens int
	// CacheFor is how long a token is kept at most. 0 keeps it until Identity.Expires, and
	// does not keep those without.
	CacheFor time.Duration
	// ExpireUnary ends unary calls too at the time that their token expires. Without
	// it a unary call that was begun with a good token is let finish; all others end.
	// It costs each call of a token that expires a timer.
	ExpireUnary bool
}

// Interceptor asks the callers of a server who they are. Make it with [New]. It
// may be used by any number of chains at once.
type Interceptor struct {
	validate Validator
	config   Config
	cache    *cache // nil without CachedTokens
}

// New returns an interceptor for servers. Calls of methods in [hauberk.Config.Public] pass
// without a look at their token, and have no identity. Every other call needs exactly one value under
// the metadata key "authorization": "Bearer", in any case, and a token. Calls
// without it end with UNAUTHENTICATED, "Missing or invalid token"; otherwise
// validate decides. What is wrong with the arguments is reported by hauberk.New.
//
// A stream whose Identity expires while it is open ends then, with UNAUTHENTICATED,
// "Token expired": for the client at once; the handler's context is done, with
// [ErrTokenExpired] as its cause, and so are its sends and receives.
//
// Rejections are recorded ([hauberk.Call.Decisions]). A call that was admitted has
// its identity to show for it; to record that as well would cost it allocations.
func New(validate Validator, config Config) *Interceptor {
	x := &Interceptor{validate: validate, config: config}
	if config.CachedTokens > 0 {
		x.cache = newCache(config.CachedTokens, config.CacheFor)
	}
	return x
}

// Declare tells chains that calls are authenticated here, and what is wrong with
// the configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	var errs []error
	if x.validate == nil {
		errs = append(errs, errors.New("it has no Validator; make it with authn.New"))
	}
	if n := x.config.CachedTokens; n < 0 {
		errs = append(errs, fmt.Errorf("Config.CachedTokens is %d; want 0 for none, or a number of tokens", n))
	}
	if d := x.config.CacheFor; d < 0 || d > 0 && x.config.CachedTokens == 0 {
		errs = append(errs, fmt.Errorf("Config.CacheFor is %v with %d CachedTokens; want 0, or a time with CachedTokens above 0",
			d, x.config.CachedTokens))
	}
	return hauberk.Declaration{
		Name:          name,
		Phase:         hauberk.PhaseAuthn,
		Sides:         hauberk.OnlyServers,
		Writes:        []hauberk.StateKey{Key, User},
		Decides:       true,
		Authenticates: true,
		Err:           errors.Join(errs...),
	}
}

// Intercept lets the call pass if its token is good.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Public() {
		call.Abstain()
		return next(ctx, call)
	}
	id, err := x.identify(ctx, call)
	if err != nil {
		return x.reject(call, err)
	}
	Key.Set(call, id)
	User.Set(call, id.Subject)
	if id.Expires.IsZero() || call.Kind() == hauberk.Unary && !x.config.ExpireUnary {
		return next(ctx, call)
	}
	return x.untilExpired(ctx, call, next, id.Expires)
}

// identify returns whose the call's token is, or the call's outcome.
func (x *Interceptor) identify(ctx context.Context, call *hauberk.Call) (*Identity, error) {
	token, err := bearer(call.Metadata(ctx, header))
	if err != nil {
		return nil, err
	}
	id := x.cache.get(token)
	if id == nil {
		if id, err = x.validate(ctx, token); err == nil {
			x.cache.put(token, id)
		}
	}
	switch {
	case err != nil:
		return nil, rejectionOf(ctx, err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case id == nil:
		return nil, errNoIdentity
	case id.Subject == "":
		return nil, errNoSubject
	case id.expired(time.Now()):
		return nil, errExpired
	default:
		return id, nil
	}
}

// reject records a rejection. That the call ended while its token was looked at is
// none.
func (x *Interceptor) reject(call *hauberk.Call, err error) error {
	if isRejection(carrierIn(err)) {
		call.Decide(hauberk.Decision{Verdict: hauberk.Rejected, Reason: hauberk.Reason(err)})
	}
	return err
}
