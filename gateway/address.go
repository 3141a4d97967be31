package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

const forwardedFor = "x-forwarded-for"

// isForwardedFor reports whether a program may read a key as x-forwarded-for.
func isForwardedFor(key string) bool { return plain(key) == forwardedFor }

// setAddress replaces x-forwarded-for, and what looks like it, in the metadata for the upstream.
func setAddress(ctx context.Context, md metadata.MD) {
	value := addresses(ctx, md.Get(forwardedFor))
	for key := range md {
		if isForwardedFor(key) {
			delete(md, key)
		}
	}
	if value != "" {
		md.Set(forwardedFor, value)
	}
}

// setAddressField is setAddress for fields that are encoded. It returns their array.
func setAddressField(ctx context.Context, fields []hpack.HeaderField) []hpack.HeaderField {
	var values []string
	kept := fields[:0]
	for _, f := range fields {
		switch {
		case f.Name == forwardedFor:
			values = append(values, f.Value)
		case !isForwardedFor(f.Name):
			kept = append(kept, f)
		}
	}
	if value := addresses(ctx, values); value != "" {
		kept = append(kept, hpack.HeaderField{Name: forwardedFor, Value: value})
	}
	return kept
}

// addresses returns the value of x-forwarded-for for the upstream, or "". It is the address of the peer after
// the entries that trusted proxies have written. Others are left out, so that the upstream can trust all of it.
func addresses(ctx context.Context, values []string) string {
	call := hauberk.FromContext(ctx)
	if call == nil {
		return ""
	}
	peer, client := addrOf(call), call.ClientAddr()
	var entries []string
	if client.IsValid() && client != peer {
		entries = trusted(values, client)
	}
	if peer.IsValid() {
		entries = append(entries, peer.String())
	}
	return strings.Join(entries, ", ")
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
