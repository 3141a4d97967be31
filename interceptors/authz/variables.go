package authz

import (
	"context"
	"net/netip"
	"time"

	"cel.dev/cel-go/cel"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// variables are the variables of expressions, for one call.
type variables struct {
	ctx      context.Context //nolint:containedctx // variables end with the call
	call     *hauberk.Call
	identity *hauberk.Identity
	addr     netip.Addr
	clock    func() time.Time
	now      time.Time
	metadata map[string][]string
	request  any
	read     bool // request was asked for

	identitySize, claimsSize, metadataSize size
}

var _ cel.Activation = (*variables)(nil)

// ResolveName returns the value of a variable. A variable without a value makes the
// evaluation fail.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "method":
		return v.call.Method().FullName(), true
	case "service":
		return v.call.Method().Service(), true
	case "identity":
		return identityValue{v.identity}, true
	case "metadata":
		return v.allMetadata(), true
	case "client_addr":
		return v.addr.String(), v.addr.IsValid()
	case "now":
		if v.now.IsZero() {
			v.now = v.clock()
		}
		return v.now, true
	case "request":
		return v.request, v.request != nil
	default:
		return nil, false
	}
}

// Parent returns nil.
func (*variables) Parent() cel.Activation { return nil }

func (v *variables) allMetadata() map[string][]string {
	if v.metadata == nil {
		v.metadata, _ = metadata.FromIncomingContext(v.ctx)
		if v.metadata == nil {
			v.metadata = map[string][]string{}
		}
	}
	return v.metadata
}
