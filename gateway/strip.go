package gateway

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// stripper removes request metadata of clients.
type stripper map[string]bool // by the name that plain returns

// newStripper returns a stripper for names of metadata. It is nil without names.
func newStripper(names []string) stripper {
	if len(names) == 0 {
		return nil
	}
	s := make(stripper, len(names))
	for _, name := range names {
		s[plain(name)] = true
	}
	return s
}

// checkStrip reports names that no metadata has.
func checkStrip(names []string) error {
	for _, name := range names {
		if key := strings.ToLower(name); !metadatakey.Legal(key) || metadatakey.OfProtocol(key) {
			return fmt.Errorf("gateway: Strip has %q; want the name of a metadata key, such as x-user", name)
		}
	}
	return nil
}

// plain returns the form that a key and its look-alikes share. Servers that pass headers on as variables of CGI or
// WSGI make the same of x-user and x_user, and decoded x-user-bin is x-user for a program that is not careful.
func plain(key string) string { return strings.TrimSuffix(metadatakey.Spelling(key), "-bin") }

// strip returns the context of a call without the metadata.
func (s stripper) strip(in transport.Inbound) context.Context {
	ctx := in.Context()
	if len(s) == 0 {
		return ctx
	}
	var kept metadata.MD // nil if nothing is removed
	all := in.Metadata()
	for key := range all {
		if !s[plain(key)] {
			continue
		}
		if kept == nil {
			kept = all.Copy()
		}
		delete(kept, key)
	}
	if kept == nil {
		return ctx
	}
	return metadata.NewIncomingContext(ctx, kept)
}
