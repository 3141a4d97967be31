package authn

import (
	"context"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// Key is where the identity stands in a call's state.
var Key = hauberk.NewKey[*Identity]("identity")

// User is where the identity's Subject stands in a call's state, for interceptors
// that take a key, as logging.State does.
var User = hauberk.NewKey[string]("user")

// Identity is who a call is from. It is shared by all who ask for it, and by
// other calls if the Validator keeps it: it is not to be changed.
type Identity struct {
	// Subject is the user's name, unique within the issuer. It must not be empty.
	Subject string
	// Issuer is who vouches for it, such as the "iss" of a JWT.
	Issuer string
	// Scopes are what the token is good for, such as the "scope" of a JWT.
	Scopes []string
	// Claims are all that the token says, for rules and handlers.
	Claims map[string]any
	// Expires is when the token ceases to be good; zero stands for never. It is
	// enforced as it is: a Validator that allows for skewed clocks adds that.
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
