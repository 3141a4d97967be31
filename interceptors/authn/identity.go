package authn

import (
	"context"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// Key is the key of the identity in the state of a call.
var Key = hauberk.NewKey[*Identity]("identity")

// User is the key of the identity's Subject in the state of a call, for interceptors that
// take a key, such as logging.State.
var User = hauberk.NewKey[string]("user")

// Identity identifies the caller. It is shared by everything that reads it, and by other calls
// if it is cached: it must not be modified.
type Identity struct {
	// Subject is the user's name, unique within the issuer. It must not be empty.
	Subject string
	// Issuer vouches for the identity, such as the "iss" of a JWT.
	Issuer string
	// Scopes limit what the token may be used for, such as the "scope" of a JWT.
	Scopes []string
	// Claims are all claims of the token, for rules and handlers.
	Claims map[string]any
	// Expires is the time when the token expires; zero means never. It is enforced as it
	// is: a Validator that allows for skewed clocks adds the leeway.
	Expires time.Time
}

// FromContext returns the identity of the call that ctx belongs to, in a handler
// that of the incoming call, and whether there is one. Safe for concurrent use.
func FromContext(ctx context.Context) (*Identity, bool) { return Key.FromContext(ctx) }

// String returns the subject: claims are not for logs.
func (id *Identity) String() string {
	if id == nil {
		return ""
	}
	return id.Subject
}

// LogValue logs the subject only.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(id.String()) }

func (id *Identity) expired(now time.Time) bool {
	return !id.Expires.IsZero() && !now.Before(id.Expires)
}
