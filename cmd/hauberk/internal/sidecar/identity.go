package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// forwarder writes what the sidecar knows about a call into the metadata for the upstream.
type forwarder struct {
	identity  map[string]string // names of metadata by part
	requestID bool
	trace     func(ctx context.Context, md metadata.MD)
}

// newForward returns gateway.Config.Forward for a sidecar with a policy file, or nil if there is nothing to write.
func (o *options) newForward(providers *otelenv.Providers) func(ctx context.Context, md metadata.MD) {
	if len(o.identity) == 0 && !o.forwardID && providers.Tracer == nil {
		return nil
	}
	f := &forwarder{identity: o.identity, requestID: o.forwardID, trace: func(context.Context, metadata.MD) {}}
	if providers.Tracer != nil {
		f.trace = forwardTrace{providers.Propagator}.inject
	}
	return f.forward
}

func (f *forwarder) forward(ctx context.Context, md metadata.MD) {
	f.trace(ctx, md)
	call := hauberk.FromContext(ctx)
	if call == nil {
		return
	}
	if id, ok := requestid.Key.Get(call); ok && f.requestID {
		md.Set(requestid.DefaultHeader, id)
	}
	if len(f.identity) == 0 {
		return
	}
	id, _ := hauberk.IdentityKey.Get(call)
	for part, name := range f.identity {
		md.Delete(name)
		if id == nil {
			continue
		}
		if value := valueOf(id, part); value != "" && metadatakey.LegalValue(name, value) {
			md.Set(name, value)
		}
	}
}

// valueOf returns a part of an identity, or "".
func valueOf(id *hauberk.Identity, part string) string {
	switch part {
	case "subject":
		return id.Subject
	case "issuer":
		return id.Issuer
	case "tenant":
		return id.Tenant
	case "method":
		return id.Method
	case "roles":
		return strings.Join(id.Roles, ",")
	case "scopes":
		return strings.Join(id.Scopes, ",")
	}
	switch claim := id.Claims[strings.TrimPrefix(part, "claims.")].(type) {
	case nil:
		return ""
	case string:
		return claim
	case bool, int64, uint64:
		return fmt.Sprint(claim)
	default:
		text, err := json.Marshal(claim)
		if err != nil {
			return ""
		}
		return string(text)
	}
}
