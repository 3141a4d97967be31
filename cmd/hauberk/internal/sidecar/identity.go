package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
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

// newForwarder returns the forwarder of a sidecar with a policy file.
func (o *options) newForwarder(providers *otelenv.Providers) *forwarder {
	f := &forwarder{identity: o.identity, requestID: o.forwardID, trace: func(context.Context, metadata.MD) {}}
	if providers.Tracer != nil {
		f.trace = forwardTrace{providers.Propagator}.inject
	}
	return f
}

func (f *forwarder) forward(ctx context.Context, md metadata.MD) {
	f.trace(ctx, md)
	call := hauberk.FromContext(ctx)
	if call == nil {
		return
	}
	forwardAddress(call, md)
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

const forwardedFor = "x-forwarded-for"

// forwardAddress appends the address of the peer to x-forwarded-for. Entries that no trusted proxy has written are
// removed, so that the upstream can trust all that the sidecar sends.
func forwardAddress(call *hauberk.Call, md metadata.MD) {
	entries := md.Get(forwardedFor)
	for key := range md {
		if metadatakey.Spelling(key) == forwardedFor {
			delete(md, key)
		}
	}
	peer := addrOf(call)
	if !peer.IsValid() {
		return
	}
	if client := call.ClientAddr(); client.IsValid() && client != peer {
		entries = trusted(entries, client)
	} else {
		entries = nil
	}
	md.Set(forwardedFor, strings.Join(append(entries, peer.String()), ", "))
}

// trusted returns the entries from that of the client on.
func trusted(values []string, client netip.Addr) []string {
	entries := strings.Split(strings.Join(values, ","), ",")
	for i := len(entries) - 1; i >= 0; i-- {
		entries[i] = strings.TrimSpace(entries[i])
		if at, ok := parseAddr(entries[i]); ok && at == client {
			return entries[i:]
		}
	}
	return []string{client.String()}
}

// parseAddr reads an address, with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.WithZone("").Unmap(), err == nil
}

// addrOf returns the address of the peer of a call, or an invalid one.
func addrOf(call *hauberk.Call) netip.Addr {
	p := call.Peer()
	if p == nil || p.Addr == nil {
		return netip.Addr{}
	}
	addr, _ := parseAddr(p.Addr.String())
	return addr
}
