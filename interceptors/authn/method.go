package authn

import (
	"context"
	"errors"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Method is a way to prove an identity: [Bearer], [NewAPIKeys], and those of the packages authnjwt,
// authnintrospect and authnmtls. Safe for concurrent use.
//
// A method may have more methods:
//
//   - Err() error returns what is wrong with its settings, for hauberk.New;
//   - Credential() string names the credential that it judges, as [Credential] says: a method that
//     returns [ErrOtherMethod] needs it, so that the other methods of the credential run;
//   - Issuers() []string returns the issuers whose credentials it judges, and does not leave to later
//     methods. Two methods with one credential and one issuer are an error of hauberk.New;
//   - JudgesAll() bool reports that it leaves no credential to later methods. A later method of the same
//     credential, which would never run, is an error of hauberk.New;
//   - JudgesExpiry() bool reports that it returns no identity whose Identity.Expires has passed, so that
//     the clock is not read again, which takes about 60 ns.
type Method interface {
	// Name is a short name for logs and errors, such as "jwt".
	Name() string
	// Authenticate returns the identity that a call proves. It runs before the request is
	// read, on the goroutine of the call, and must return when ctx is done.
	//
	// An error that wraps [ErrNoCredential] passes the call to the next method, and one that
	// wraps [ErrOtherMethod] to the next method of the same credential. Any other result decides
	// on the call, as [Validator] lists them: a later method does not run, so it cannot admit a
	// call that this one rejects.
	Authenticate(ctx context.Context, call *hauberk.Call) (*Identity, error)
}

// Errors by which a method says that a call is not its concern.
var (
	// ErrNoCredential says that the call has no credential of the method. If it is the
	// result of every method, the call ends as the error of the first says.
	ErrNoCredential = errors.New("authn: the call has no credential")
	// ErrOtherMethod says that the call has a credential that the method does not judge, such
	// as a bearer token that is not a JWT. Only later methods of the same credential run then: an
	// API key does not replace a bad token. If none of them accepts it, the call ends with
	// UNAUTHENTICATED, "Invalid token".
	ErrOtherMethod = errors.New("authn: the credential is of another method")
)

// Credential is a [Method] that says which credential it judges: the metadata key, such as
// "authorization" for bearer tokens, or "certificate". A method that does not say can run after any
// other, and after [ErrOtherMethod] too. If it returns ErrOtherMethod itself, only later methods that
// do not say run: the call may have a credential of another method, which must not replace this one.
type Credential interface {
	Method
	Credential() string
}

// credentialOf returns the credential that a method judges, or "".
func credentialOf(m Method) string {
	if c, ok := m.(Credential); ok {
		return c.Credential()
	}
	return ""
}

// checked is a method that reports what is wrong with its settings.
type checked interface{ Err() error }

// identify returns the identity that the first method with a credential proves, or the
// outcome of the call.
func (x *Interceptor) identify(ctx context.Context, call *hauberk.Call) (*Identity, error) {
	var none, other error
	var unjudged string // the credential that other is about; "" if the method does not say
	for i, m := range x.methods {
		if other != nil && !judges(m, unjudged) {
			continue
		}
		id, err := m.Authenticate(ctx, call)
		err = errtree.Bounded(err) // before errors.Is searches it
		switch {
		case err == nil:
			return checkedIdentity(ctx, id, x.judged[i])
		case errors.Is(err, ErrOtherMethod):
			other, unjudged = err, credentialOf(m)
		case !errors.Is(err, ErrNoCredential):
			return nil, rejectionOf(ctx, err)
		case none == nil:
			none = err
		}
	}
	if other != nil {
		return nil, reject(ReasonInvalidToken, "Invalid token", errors.Join(ErrInvalidToken, other))
	}
	return nil, noCredential(none)
}

// judges reports whether a method may judge a credential that an earlier one has left.
func judges(m Method, credential string) bool {
	own := credentialOf(m)
	return own == "" || own == credential
}

// judgesExpiry reports whether a method returns no identity that has expired.
func judgesExpiry(m Method) bool {
	expiry, ok := m.(interface{ JudgesExpiry() bool })
	return ok && !options.IsNil(m) && expiry.JudgesExpiry()
}

// checkedIdentity returns an identity that a method accepted, unless it is unusable. judged is whether the method
// has compared its Expires.
func checkedIdentity(ctx context.Context, id *Identity, judged bool) (*Identity, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case id == nil:
		return nil, errNoIdentity
	case id.Subject == "":
		return nil, errNoSubject
	case judged && !isRevoked(id), !judged && !id.Expired(time.Now()):
		return id, nil
	case isRevoked(id):
		return nil, errRevoked
	default:
		return nil, errExpired
	}
}

// noCredential is the outcome of a call without a credential of any method.
func noCredential(err error) error {
	if isRejection(carrierIn(err)) {
		return err
	}
	return reject(ReasonMissingToken, missing, err)
}

func isRevoked(id *Identity) bool {
	select {
	case <-id.Revoked:
		return true
	default:
		return false
	}
}
