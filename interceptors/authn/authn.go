package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
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
	methods []Method
	judged  []bool // by method: it returns no identity that has expired
	config  Config
}

// New returns an interceptor for servers. Each call is authenticated by the first of the methods
// that finds a credential in it. A call without one ends with UNAUTHENTICATED; so does a call of
// an unknown method. Calls of methods in [hauberk.Config.Public] pass: their credentials are not
// checked, and they have no identity. hauberk.New reports what is wrong with the arguments.
//
// A stream whose identity expires or is revoked while it is open ends with UNAUTHENTICATED,
// "Token expired" or "Token revoked": at once for the client; the context of the handler is
// done, with [ErrTokenExpired] or [ErrTokenRevoked] as its cause, and its sends and receives end.
//
// Rejections are recorded ([hauberk.Call.Decisions]). An admitted call is not, since that
// costs allocations and the identity shows it.
func New(config Config, methods ...Method) *Interceptor {
	x := &Interceptor{methods: slices.Clone(methods), config: config}
	for _, m := range x.methods {
		x.judged = append(x.judged, judgesExpiry(m))
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name:          name,
		Phase:         hauberk.PhaseAuthn,
		Sides:         hauberk.OnlyServers,
		Writes:        []hauberk.StateKey{Key, User},
		Decides:       true,
		Authenticates: true,
		Abstains:      (*hauberk.Method).Public,
		Err:           x.err(),
	}
}

// err returns what is wrong with the arguments of [New].
func (x *Interceptor) err() error {
	var errs []error
	if len(x.methods) == 0 {
		errs = append(errs, errors.New("it has no Method; want one, such as authn.Bearer(validate)"))
	}
	for i, m := range x.methods {
		if options.IsNil(m) {
			errs = append(errs, fmt.Errorf("method %d of %d is nil", i+1, len(x.methods)))
			continue
		}
		if c, ok := m.(checked); ok && c.Err() != nil {
			errs = append(errs, c.Err())
		}
	}
	errs = append(errs, x.errShared(), x.errIssuers(), x.errUnreachable())
	if d := x.config.Grace; d < 0 {
		errs = append(errs, fmt.Errorf("Config.Grace is %v; want 0, or how long streams outlive their credential", d))
	}
	return errors.Join(errs...)
}

// errShared reports API keys that share their metadata key with another method, so that one of them can
// admit no call.
func (x *Interceptor) errShared() error {
	for i, m := range x.methods {
		keys, ok := m.(*APIKeys)
		for j, other := range x.methods {
			if ok && keys != nil && i != j && !options.IsNil(other) && credentialOf(other) == keys.header {
				return fmt.Errorf("methods %d and %d, %s and %s, both read the metadata key %q, "+
					"so that one of them admits no call; want another APIKeysConfig.Header",
					i+1, j+1, m.Name(), other.Name(), keys.header)
			}
		}
	}
	return nil
}

// errIssuers reports methods of one credential that judge the tokens of the same issuer, so that the later
// one never does.
func (x *Interceptor) errIssuers() error {
	type judged struct{ credential, issuer string }
	first := make(map[judged]int)
	for i, m := range x.methods {
		named, ok := m.(interface{ Issuers() []string })
		if !ok || options.IsNil(m) {
			continue
		}
		for _, issuer := range named.Issuers() {
			key := judged{credentialOf(m), issuer}
			if j, has := first[key]; has && j != i {
				return fmt.Errorf("methods %d and %d, %s and %s, both judge the tokens of the issuer %q, "+
					"so that the second one admits none of them; want one method for each issuer",
					j+1, i+1, x.methods[j].Name(), m.Name(), issuer)
			}
			first[key] = i
		}
	}
	return nil
}

// errUnreachable reports a method that never runs, since an earlier one judges all credentials of its kind.
func (x *Interceptor) errUnreachable() error {
	for i, m := range x.methods {
		all, ok := m.(interface{ JudgesAll() bool })
		if !ok || options.IsNil(m) || !all.JudgesAll() {
			continue
		}
		for j, later := range x.methods[i+1:] {
			if !options.IsNil(later) && credentialOf(later) == credentialOf(m) {
				return fmt.Errorf("method %d, %s, never runs: method %d, %s, judges every %q; want %s after it",
					i+j+2, later.Name(), i+1, m.Name(), credentialOf(m), m.Name())
			}
		}
	}
	return nil
}

// Intercept admits the call if a credential of it is valid.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Public() {
		call.Abstain()
		return next(ctx, call)
	}
	id, err := x.identify(ctx, call)
	if err != nil {
		if !call.DryRun() {
			_ = call.SetTrailer(unprocessed) // fails if the call has ended
		}
		return x.reject(call, err)
	}
	Key.Set(call, id)
	if id.Expires.IsZero() && id.Revoked == nil || call.Kind() == hauberk.Unary && !x.config.ExpireUnary {
		return next(ctx, call)
	}
	return x.whileValid(ctx, call, next, id)
}

// reject records a rejection. A call that ended while its token was validated is none.
func (x *Interceptor) reject(call *hauberk.Call, err error) error {
	if isRejection(carrierIn(err)) {
		call.Decide(hauberk.Decision{Verdict: hauberk.Rejected, Reason: hauberk.Reason(err)})
	}
	return err
}
