package authn

import (
	"context"

	"github.com/hauberk-rpc/hauberk"
)

// Identity identifies the caller. See [hauberk.Identity].
type Identity = hauberk.Identity

// Key is the key of the identity in the state of a call: [hauberk.IdentityKey].
var Key = hauberk.IdentityKey //nolint:gochecknoglobals // never written, as all keys

// User is the key of the identity's Subject in the state of a call, for interceptors that
// take a key, such as logging.State: [hauberk.UserKey].
var User = hauberk.UserKey //nolint:gochecknoglobals // never written, as all keys

// FromContext returns the identity of the call that ctx belongs to, in a handler
// that of the incoming call, and whether there is one. Safe for concurrent use.
func FromContext(ctx context.Context) (*Identity, bool) { return Key.FromContext(ctx) }
