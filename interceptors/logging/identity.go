package logging

import (
	"encoding/json"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// The attributes in the group of an identity.
const (
	IdentitySubject = "subject"
	IdentityIssuer  = "issuer"
	IdentityTenant  = "tenant"
	IdentityMethod  = "method"
	IdentityRoles   = "roles"
	IdentityScopes  = "scopes"
	IdentityClaims  = "claims"
)

// appendIdentity appends the caller of a server's call.
func (x *Interceptor) appendIdentity(list []slog.Attr, call *hauberk.Call) []slog.Attr {
	if !x.config.Identity.On || call.Side() != hauberk.ServerSide {
		return list
	}
	id, _ := hauberk.IdentityKey.Get(call)
	if id == nil {
		return with(list, x.names.Identity, slog.AnyValue(nil))
	}
	group := make([]slog.Attr, 0, 8)
	for _, text := range []struct{ name, value string }{
		{IdentitySubject, id.Subject},
		{IdentityIssuer, id.Issuer},
		{IdentityTenant, id.Tenant},
		{IdentityMethod, id.Method},
	} {
		if text.value != "" {
			group = append(group, slog.String(text.name, logtext.Cut(text.value, maxText)))
		}
	}
	if len(id.Roles) > 0 {
		group = append(group, slog.Attr{Key: IdentityRoles, Value: listValue(id.Roles)})
	}
	if len(id.Scopes) > 0 {
		group = append(group, slog.Attr{Key: IdentityScopes, Value: listValue(id.Scopes)})
	}
	if claims := x.claims(id); claims != nil {
		group = append(group, slog.Attr{Key: IdentityClaims, Value: slog.GroupValue(claims...)})
	}
	return with(list, x.names.Identity, slog.GroupValue(group...))
}

// claims returns the claims of an identity that are logged. The identity is never modified, so that a queue may read
// their values later.
func (x *Interceptor) claims(id *hauberk.Identity) (group []slog.Attr) {
	for _, name := range x.config.Identity.Claims {
		value := id.Claims[name]
		text, err := json.Marshal(value)
		if err == nil && len(text) <= maxText {
			group = append(group, slog.Any(name, json.RawMessage(text)))
		}
	}
	return group
}
