package hauberk

import (
	"log/slog"
	"time"
)

// IdentityKey is the key of the caller's identity in the state of a call. An interceptor that
// authenticates sets it; authz, limits and handlers read it.
var IdentityKey = NewKey[*Identity]("identity")

// UserKey is the key of the caller's name in the state of a call, for interceptors that take a key of text. If a
// call has no value of it, the value is the Subject of its identity ([IdentityKey]).
//
//nolint:gochecknoglobals // never written, as all keys
var UserKey = Key[string]{id: &keyID{name: "user", derived: subjectOf}}

func subjectOf(call *Call) (subject string, ok bool) {
	if id, _ := IdentityKey.Get(call); id != nil {
		return id.Subject, true
	}
	return "", false
}

// Identity identifies the caller of a call. It is shared by everything that reads it, and by
// other calls if it is cached: it must not be modified.
type Identity struct {
	// Subject is the name of the user or service, unique within the issuer. It must not be empty.
	Subject string
	// Issuer vouches for the identity, such as the "iss" of a JWT.
	Issuer string
	// Tenant is the organization or account that the subject belongs to; "" for none.
	Tenant string
	// Method is how the identity was proved, such as "jwt", "mtls" or "api key".
	Method string
	// Scopes limit what the credential may be used for, such as the "scope" of a JWT.
	Scopes []string
	// Roles are what the subject may act as, such as "admin".
	Roles []string
	// Claims are all claims of the credential, for rules and handlers, as encoding/json decodes them.
	// Package authn decodes integers of 2⁵³ and more, which a float64 does not hold exactly, as int64, or
	// uint64 if they are beyond that.
	Claims map[string]any
	// Expires is the time when the credential expires; zero means never. It is enforced
	// exactly: the code that makes an identity adds the leeway for clock skew.
	Expires time.Time
	// Revoked is closed when the credential is revoked. nil means that it cannot be.
	Revoked <-chan struct{}
}

// String returns the subject: claims are not for logs.
func (id *Identity) String() string {
	if id == nil {
		return ""
	}
	return id.Subject
}

// LogValue logs the subject only.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(id.String()) }

// Expired reports whether the credential has expired or was revoked at a time.
func (id *Identity) Expired(now time.Time) bool {
	select {
	case <-id.Revoked:
		return true
	default:
		return !id.Expires.IsZero() && !now.Before(id.Expires)
	}
}
