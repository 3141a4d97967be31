package authz

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// truth is whether something about a call holds. Of several things that must all hold the
// least counts.
type truth uint8

const (
	no      truth = iota
	unknown       // an attribute is missing
	yes
)

func truthOf(holds bool) truth {
	if holds {
		return yes
	}
	return no
}

// facts is what rules need of a call. It is found when a rule asks for it, and is on the
// stack of the call's goroutine unless a rule has an expression.
type facts struct {
	ctx  context.Context //nolint:containedctx // facts end with the call
	call *hauberk.Call
	now  func() time.Time

	identity *hauberk.Identity // nil if there is none
	asked    bool              // for identity
	addr     netip.Addr
	placed   bool // addr was found
	kept     [4]keptValues
	keys     int // how many of kept are used
	vars     *callcel.Variables
	read     bool // the request was asked for
	readErr  error
	failed   *rule // whose expression failed, or nil; see fail
	failure  error
}

// keptValues are the values of a metadata key, which grpc-go copies each time.
type keptValues struct {
	key    string
	values []string
}

// denying returns the first rule that denies the call: that matches, or would match for all
// that is known.
func (f *facts) denying(rules []*rule) (by *rule, matches truth) {
	for _, r := range rules {
		if matches = r.judge(f); matches != no {
			return r, matches
		}
	}
	return nil, no
}

// allowing returns the first rule that certainly matches.
func (f *facts) allowing(rules []*rule) *rule {
	for _, r := range rules {
		if r.judge(f) == yes {
			return r
		}
	}
	return nil
}

// caller returns the identity, or nil. An identity without a subject is none.
func (f *facts) caller() *hauberk.Identity {
	if !f.asked {
		f.asked = true
		f.identity = callcel.IdentityOf(f.call)
	}
	return f.identity
}

// hasScopes judges whether the identity has all of several scopes.
func (f *facts) hasScopes(required []string) truth {
	id := f.caller()
	if id == nil {
		return unknown
	}
	for _, scope := range required {
		if !slices.Contains(id.Scopes, scope) {
			return no
		}
	}
	return yes
}

// clientAddr returns the address of the client, or the zero Addr.
func (f *facts) clientAddr() netip.Addr {
	if !f.placed {
		f.addr, f.placed = f.call.ClientAddr(), true
	}
	return f.addr
}

// values returns the values of a metadata key, in lower case.
func (f *facts) values(key string) []string {
	for i := range f.keys {
		if f.kept[i].key == key {
			return f.kept[i].values
		}
	}
	values := metadata.ValueFromIncomingContext(f.ctx, key)
	if f.keys < len(f.kept) {
		f.kept[f.keys] = keptValues{key, values}
		f.keys++
	}
	return values
}

// inNetworks judges the address of the client.
func (f *facts) inNetworks(networks []netip.Prefix) truth {
	addr := f.clientAddr()
	if !addr.IsValid() {
		return unknown
	}
	return truthOf(slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) }))
}

// principal judges the names in the client's certificate, as in gRFC A41. A certificate that crypto/tls did
// not verify has names only for rules with UnverifiedPrincipals.
func (f *facts) principal(names *texts, unverified bool) truth {
	p := f.call.Peer()
	if p == nil {
		return unknown
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	switch {
	case !ok:
		return unknown
	case len(info.State.PeerCertificates) == 0:
		return truthOf(names.match(""))
	case len(info.State.VerifiedChains) == 0 && !unverified:
		return unknown
	}
	cert := info.State.PeerCertificates[0]
	switch {
	case len(cert.URIs) > 0:
		for _, uri := range cert.URIs {
			if names.match(uri.String()) {
				return yes
			}
		}
		return no
	case len(cert.DNSNames) > 0:
		return truthOf(names.matchAny(cert.DNSNames))
	default:
		return truthOf(names.match(cert.Subject.String()))
	}
}

// metadata judges the values of a key: in a rule of Deny any, in one of Allow all.
func (f *facts) metadata(m *metadataMatch, deny bool) truth {
	values := f.values(m.key)
	switch {
	case len(values) == 0:
		return unknown
	case !deny:
		return truthOf(m.values.matchAll(values))
	case m.values.matchAny(values):
		return yes
	default:
		return truthOf(len(values) > 1 && m.values.match(strings.Join(values, ",")))
	}
}

// variables returns the variables of expressions.
func (f *facts) variables() *callcel.Variables {
	if f.vars == nil {
		f.vars = &callcel.Variables{
			Ctx: f.ctx, Call: f.call, Identity: f.caller(), Addr: f.clientAddr(), Clock: f.now,
		}
	}
	return f.vars
}

// request reads the first request, once, and reports whether there is one. The request of a
// method that the server does not have has no type.
func (f *facts) request() bool {
	v := f.variables()
	if v.Request != nil || f.read || !f.call.Method().Known() {
		return v.Request != nil
	}
	f.read = true
	var err error
	v.Request, err = f.call.ReadFirst(f.ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		f.readErr = err
	}
	return v.Request != nil
}
