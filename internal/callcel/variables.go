package callcel

import (
	"context"
	"net/netip"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Variables are the variables of expressions, for one call.
type Variables struct {
	// Ctx and Call are those of the call, before it continues.
	Ctx  context.Context //nolint:containedctx // variables end with the call
	Call *hauberk.Call
	// Identity is that of IdentityOf.
	Identity *hauberk.Identity
	// Addr is the address of the client, or the zero Addr.
	Addr netip.Addr
	// Clock returns the time.
	Clock func() time.Time
	// Request is the first request message, or nil if there is none.
	Request any
	// Keys are the metadata keys that the expression uses. nil is all. See MetadataKeys.
	Keys []string
	// Lookup returns the value of any other variable. nil has none.
	Lookup func(v *Variables, name string) (value any, ok bool)

	now      time.Time
	metadata map[string][]string
	some     map[string]any // of Keys; each value is a []string
	found    bool           // some has the values

	identitySize, claimsSize, metadataSize size
}

var _ cel.Activation = (*Variables)(nil)

// IdentityOf returns the identity of a call, or nil. An identity without a subject is none.
func IdentityOf(call *hauberk.Call) *hauberk.Identity {
	if id, _ := hauberk.IdentityKey.Get(call); id != nil && id.Subject != "" {
		return id
	}
	return nil
}

// ResolveName returns the value of a variable. A variable without a value makes the
// evaluation fail. Texts are of the type types.String, since CEL would make another value of a string.
func (v *Variables) ResolveName(name string) (any, bool) {
	switch name {
	case "method":
		return types.String(v.Call.Method().FullName()), true
	case "service":
		return types.String(v.Call.Method().Service()), true
	case "identity":
		return identityValue{v.Identity}, true
	case claimsName: // of the identity
		if v.Identity == nil || v.Identity.Claims == nil {
			return nil, false
		}
		return v.Identity.Claims, true
	case "metadata":
		if v.Keys != nil {
			return v.someMetadata(), true
		}
		return v.allMetadata(), true
	case "client_addr":
		return types.String(v.Addr.String()), v.Addr.IsValid()
	case "now":
		if v.now.IsZero() {
			v.now = v.Clock()
		}
		return v.now, true
	case "request":
		return v.Request, v.Request != nil
	default:
		if v.Lookup != nil {
			return v.Lookup(v, name)
		}
		return nil, false
	}
}

// Parent returns nil.
func (*Variables) Parent() cel.Activation { return nil }

// Reset forgets a call and keeps the memory, for another call of the same expression.
func (v *Variables) Reset() {
	clear(v.some)
	*v = Variables{Clock: v.Clock, Keys: v.Keys, Lookup: v.Lookup, some: v.some}
}

// allMetadata returns the request metadata: on a client that which it sends.
func (v *Variables) allMetadata() map[string][]string {
	if v.metadata == nil {
		if v.Call.Side() == hauberk.ServerSide {
			v.metadata, _ = metadata.FromIncomingContext(v.Ctx)
		} else {
			v.metadata, _ = metadata.FromOutgoingContext(v.Ctx)
		}
		if v.metadata == nil {
			v.metadata = map[string][]string{}
		}
	}
	return v.metadata
}

// someMetadata returns the values of Keys, without a copy of the others.
func (v *Variables) someMetadata() map[string]any {
	if v.found {
		return v.some
	}
	v.found = true
	if v.some == nil {
		v.some = make(map[string]any, len(v.Keys))
	}
	for _, key := range v.Keys {
		if values := v.valuesOf(key); len(values) > 0 {
			v.some[key] = values
		}
	}
	return v.some
}

func (v *Variables) valuesOf(key string) []string {
	if v.Call.Side() == hauberk.ServerSide {
		return metadata.ValueFromIncomingContext(v.Ctx, key)
	}
	return v.allMetadata()[key] // grpc-go has no function for one key
}
