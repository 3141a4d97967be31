package authn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// name is the name of the interceptors in decisions and errors.
const name = "authn"

// Validator checks a token and returns the identity that it proves. It runs on the goroutine
// of the call, concurrently for different calls, and must return when ctx is done. The token is
// well-formed (a b64token of RFC 6750); do not log it.
//
// The result decides on the call:
//
//   - an Identity with a Subject admits it;
//   - [ErrInvalidToken], wrapped or not, rejects it with UNAUTHENTICATED, "Invalid token", and
//     [ErrTokenExpired] with UNAUTHENTICATED, "Token expired";
//   - a [hauberk.Rejection] becomes the outcome of the call, unchanged;
//   - the gRPC status UNAUTHENTICATED or PERMISSION_DENIED rejects it with that code, its
//     message and its details, and the reason ReasonInvalidToken or ReasonPermissionDenied;
//   - any other error with a gRPC status ends the call with that status and its message, which
//     the client receives: the validator has failed;
//   - any other error, and the status UNKNOWN, end it with UNAVAILABLE, "Token validation
//     failed", or if ctx is done with the status of ctx;
//   - neither an identity nor an error, or an Identity without a Subject, is INTERNAL.
//
// Nothing but the message and the details of a status is sent to the client.
type Validator func(ctx context.Context, token string) (*Identity, error)

// Interceptor authenticates callers on a server. Make it with [New]. It may be used by any
// number of chains at once.
type Interceptor struct {
	validate Validator
	config   Config
	cache    *cache // nil without CachedTokens
}

// New returns an interceptor for servers. A call needs exactly one value under the metadata key
// "authorization": "Bearer", in any case, and a token. Calls without it end with
// UNAUTHENTICATED, "Missing or invalid token"; for the others validate decides. Calls of
// methods in [hauberk.Config.Public] pass without a look at their token, and have no identity.
// hauberk.New reports what is wrong with the arguments.
//
// A stream whose Identity expires while it is open ends with UNAUTHENTICATED, "Token expired":
// at once for the client; the context of the handler is done, with [ErrTokenExpired] as its
// cause, and its sends and receives end.
//
// Rejections are recorded ([hauberk.Call.Decisions]). An admitted call is not, since that
// costs allocations and the identity shows it.
func New(validate Validator, config Config) *Interceptor {
	x := &Interceptor{validate: validate, config: config}
	if config.CachedTokens > 0 {
		x.cache = newCache(config.CachedTokens, config.CacheFor)
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	var errs []error
	if x.validate == nil {
		errs = append(errs, errors.New("it has no Validator; make it with authn.New"))
	}
	if n := x.config.CachedTokens; n < 0 {
		errs = append(errs, fmt.Errorf("Config.CachedTokens is %d; want 0 for none, or a number of tokens", n))
	}
	if d := x.config.CacheFor; d < 0 || d > 0 && x.config.CachedTokens == 0 {
		errs = append(errs, fmt.Errorf(
			"Config.CacheFor is %v with %d CachedTokens; want 0, or a time with CachedTokens above 0",
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

// Intercept admits the call if its token is valid.
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

// identify returns the identity of the call's token, or the outcome of the call.
func (x *Interceptor) identify(ctx context.Context, call *hauberk.Call) (*Identity, error) {
	token, err := bearer(call.Metadata(ctx, header))
	if err != nil {
		return nil, err
	}
	id, err := x.identityOf(ctx, token)
	switch {
	case err != nil:
		return nil, rejectionOf(ctx, err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case id == nil:
		return nil, errNoIdentity
	case id.Subject == "":
		return nil, errNoSubject
	case id.Expired(time.Now()):
		return nil, errExpired
	default:
		return id, nil
	}
}

// identityOf returns the kept identity of a token, or the validator's result, which it keeps
// if the token was accepted.
func (x *Interceptor) identityOf(ctx context.Context, token string) (*Identity, error) {
	if id := x.cache.get(token); id != nil {
		return id, nil
	}
	id, err := x.validate(ctx, token)
	if err == nil {
		x.cache.put(token, id)
	}
	return id, err
}

// reject records a rejection. A call that ended while its token was validated is none.
func (x *Interceptor) reject(call *hauberk.Call, err error) error {
	if isRejection(carrierIn(err)) {
		call.Decide(hauberk.Decision{Verdict: hauberk.Rejected, Reason: hauberk.Reason(err)})
	}
	return err
}
