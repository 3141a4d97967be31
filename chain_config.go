package hauberk

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Config holds the settings of a whole chain. The zero value has the defaults; its New is
// equal to the function [New].
//
//	chain, err := hauberk.Config{
//		Public:      []string{hauberk.Health, "shop.v1.Catalog/*"},
//		ErrorDomain: "shop.example",
//	}.New(calls, authenticate, limit)
type Config struct {
	// Public lists the methods that need no authentication, as patterns of [For]. It is
	// the only such list: authn admits their calls without a credential, limits by
	// identity do not count them, and [Chain.Coverage] accepts them.
	Public []string
	// Policy adds the public methods of the .proto files to Public: see [FromDescriptors]. A
	// method in Public is public even if Policy says otherwise. What else Policy states is
	// enforced by interceptors that are made of it. New reports methods whose roles or scopes
	// no interceptor enforces ([Declaration.EnforcesPolicy]); one in [Shadow] or under [When]
	// does not. [Method.Idempotent] is by Policy, too. Only servers need a Policy, and clients whose
	// program overrides the idempotency of a method.
	Policy *DescriptorPolicy
	// TrustedProxies are the networks of the proxies in front of a server. They decide
	// which entries of x-forwarded-for [Call.ClientAddr] believes. If there are none, it
	// believes no entry. IPv4 networks in IPv6 form count as IPv4.
	TrustedProxies []netip.Prefix
	// TrustUnixSockets makes every peer that reaches the server by a Unix socket a trusted
	// proxy, since it has no address. Set it only if the permissions of the socket admit no
	// other process.
	TrustUnixSockets bool
	// ErrorDomain is the domain in the google.rpc.ErrorInfo of the rejections that a
	// server sends, such as "shop.example". If it is empty, it is the full name of the
	// service that was called.
	ErrorDomain string
	// ExposeErrors sends the text of errors that carry no status to the client, and the
	// whole text of those that wrap a context error. By default the client receives
	// UNKNOWN with the message "unknown error", or the text of the context error, and
	// the rest stays in the process, where outer interceptors see it.
	ExposeErrors bool
	// CountBytes enables byte counting, for [Call.Wire]. The options that the chain makes
	// ([Chain.NewServer], [Chain.ServerOptions], [Chain.DialOptions]) then include
	// [Chain.StatsHandler], which costs a call a few allocations. Calls that reach the
	// chain without it are not counted.
	CountBytes bool
	// Drain says how [Server.Shutdown] ends the calls of the servers of the chain.
	Drain Drain
}

// Ready-made patterns for [Config.Public].
const (
	// Health is the health service of gRPC, grpc.health.v1.Health.
	Health = "grpc.health.v1.Health/*"
	// Reflection is the server reflection service of gRPC, in all its versions.
	Reflection = "grpc.reflection.*"
)

// New makes a chain of interceptors with the settings, outermost first. See the function
// [New]. The error also lists what is wrong with the settings.
func (c Config) New(interceptors ...Interceptor) (*Chain, error) {
	b := builder{chain: &Chain{at: newAttachments("Chain"), plans: make(map[string]*plan)}}
	b.configure(c)
	for i, x := range interceptors {
		b.at = fmt.Sprintf("interceptor %d", i+1)
		b.add(x, entry{})
	}
	b.checkEnforced()
	if len(b.errs) == 0 {
		b.errs = b.chain.proveOrder()
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	b.chain.at.current.Store(b.chain)
	return b.chain, nil
}

// configure takes over the settings and notes what is wrong with them.
func (b *builder) configure(c Config) {
	chain := b.chain
	chain.trustsUnix = c.TrustUnixSockets
	chain.domain, chain.exposeErrors, chain.countBytes = c.ErrorDomain, c.ExposeErrors, c.CountBytes
	var err error
	if chain.public, err = parsePatterns(c.Public); err != nil {
		b.errs = append(b.errs, fmt.Errorf("hauberk: Config.Public: %w", err))
	}
	b.configurePolicy(c.Policy)
	chain.drain = c.Drain
	b.errs = append(b.errs, c.Drain.check()...)
	if strings.ContainsFunc(c.ErrorDomain, func(r rune) bool { return r <= ' ' || r > '~' }) {
		b.errs = append(b.errs, fmt.Errorf(
			"hauberk: Config.ErrorDomain is %q; want a name without spaces, such as \"shop.example\"", c.ErrorDomain))
	}
	for i, n := range c.TrustedProxies {
		if !n.IsValid() {
			b.errs = append(b.errs, fmt.Errorf("hauberk: Config.TrustedProxies[%d] is not a valid network", i))
			continue
		}
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		chain.trusted = append(chain.trusted, n)
	}
}

// configurePolicy keeps a copy of a policy, which may be nil.
func (b *builder) configurePolicy(policy *DescriptorPolicy) {
	if policy == nil {
		return
	}
	b.chain.policy = make(map[string]*MethodPolicy, len(policy.Methods))
	for i := range policy.Methods {
		m := policy.Methods[i].clone()
		if err := m.check(); err != nil {
			b.errs = append(b.errs, fmt.Errorf("hauberk: Config.Policy: %s: %w", m.Method, err))
		}
		b.chain.policy["/"+m.Method] = &m
	}
}

// checkEnforced reports methods whose roles or scopes no interceptor enforces: other callers could
// call them. A chain of a client enforces nothing.
func (b *builder) checkEnforced() {
	if slices.ContainsFunc(b.chain.entries, func(l *entry) bool { return l.decl.Sides == OnlyClients }) {
		return
	}
	var open []string
	for full, stated := range b.chain.policy {
		service, name, err := splitMethod(full)
		m := &Method{full: full, service: service, name: name}
		if err != nil || len(stated.Roles)+len(stated.Scopes) == 0 || b.chain.isPublic(m) {
			continue
		}
		if !slices.ContainsFunc(b.chain.entries, func(l *entry) bool {
			return l.decl.EnforcesPolicy != nil && l.enforces() && l.appliesTo(m) && l.decl.EnforcesPolicy(stated)
		}) {
			open = append(open, stated.Method)
		}
	}
	if len(open) > 0 {
		slices.Sort(open)
		b.errs = append(b.errs, fmt.Errorf("hauberk: Config.Policy: no interceptor enforces the roles and scopes "+
			"of %s: add authz.New with authz.WithPolicy of the same policy, or override the policy",
			strings.Join(open, ", ")))
	}
}
