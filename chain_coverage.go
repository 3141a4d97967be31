package hauberk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Coverage is the matrix of the methods of a server and the interceptors of a chain.
type Coverage struct {
	Interceptors []string // the columns: the interceptors that enforce something, in their order
	Rows         []CoverageRow
	// Authenticates is set if an interceptor of the chain authenticates.
	Authenticates bool
	// Authorizes is set if an interceptor of the chain has rules about methods
	// ([Declaration.Authorizes]) and enforces them.
	Authorizes bool
	// Unmatched are the patterns of For, Except, Config.Public and the settings of
	// interceptors ([Declaration.Unmatched]) that match no method, in the order of the
	// chain, each as in the source: `For("shop.v1.Crat/*")`. Patterns of services in the
	// package grpc that are not registered, such as [Health], are left out, since servers may
	// do without them, unless another service of the same package is registered. It is empty for
	// a server without services.
	Unmatched []string
	// Invalid is what is wrong with settings of interceptors for the methods that they run for
	// ([Declaration.Invalid]), in the order of the chain.
	Invalid []string
}

// CoverageRow is one method of a [Coverage].
type CoverageRow struct {
	Method        string
	Runs          []bool // by column; false if the interceptor lets all calls pass ([Declaration.Abstains])
	Authenticated bool
	// Authorized is set if an interceptor with rules about methods runs, and each of those
	// that run has a rule that can admit calls.
	Authorized bool
	Public     bool
}

// Coverage returns for each method of a server's services which interceptors run.
// services is what (*grpc.Server).GetServiceInfo returns. Interceptors in [Shadow] or
// under [When] do not count. One under When that authenticates still sets Authenticates.
func (c *Chain) Coverage(services map[string]grpc.ServiceInfo) *Coverage {
	c.check("Coverage")
	cov := &Coverage{Authenticates: c.authenticates()}
	var entries []*entry
	for _, l := range c.entries {
		if l.enforces() {
			entries = append(entries, l)
			cov.Authorizes = cov.Authorizes || l.decl.Authorizes != nil
			cov.Interceptors = append(cov.Interceptors, l.title())
		}
	}
	var methods []*Method
	for service, info := range services {
		for _, method := range info.Methods {
			full := "/" + service + "/" + method.Name
			kind := KindOf(method.IsClientStream, method.IsServerStream)
			m := &Method{full: full, service: service, name: method.Name, kind: kind, known: true}
			m.public, m.stated = c.isPublic(m), c.policy[full]
			methods = append(methods, m)
		}
	}
	slices.SortFunc(methods, func(a, b *Method) int { return strings.Compare(a.full, b.full) })
	for _, m := range methods {
		cov.Rows = append(cov.Rows, c.cover(m, entries))
	}
	if len(methods) > 0 {
		cov.Unmatched = c.unmatched(methods)
		cov.Invalid = c.invalid(methods)
	}
	return cov
}

// authenticates reports whether an interceptor of the chain authenticates calls.
func (c *Chain) authenticates() bool {
	return slices.ContainsFunc(c.entries, func(l *entry) bool { return l.decl.Authenticates })
}

// enforces reports whether an interceptor runs for certain and its decision counts.
func (l *entry) enforces() bool { return !l.shadow && len(l.conditions) == 0 }

// abstains reports whether an interceptor that runs lets all calls of a method pass.
func (l *entry) abstains(m *Method) bool { return l.decl.Abstains != nil && l.decl.Abstains(m) }

func (c *Chain) cover(m *Method, entries []*entry) CoverageRow {
	row := CoverageRow{Method: m.full, Public: m.public}
	ruled, admitted := false, true
	for _, l := range entries {
		runs := l.appliesTo(m) && !l.abstains(m)
		row.Runs = append(row.Runs, runs)
		row.Authenticated = row.Authenticated || runs && l.decl.Authenticates
		if runs && l.decl.Authorizes != nil {
			ruled, admitted = true, admitted && l.decl.Authorizes(m)
		}
	}
	row.Authorized = ruled && admitted
	return row
}

func (c *Chain) isPublic(m *Method) bool {
	if c.public.Matches(m.service, m.name) {
		return true
	}
	stated := c.policy[m.full]
	return stated != nil && stated.Public
}

// unguarded reports whether a method would be served without authentication by a chain
// that authenticates calls.
func (c *Chain) unguarded(m *Method) bool {
	return c.authenticates() && !c.isPublic(m) && !slices.ContainsFunc(c.entries, func(l *entry) bool {
		return l.decl.Authenticates && l.enforces() && l.appliesTo(m)
	})
}

// unmatched returns the patterns of the chain and of its interceptors that match none of the
// methods, each text once.
func (c *Chain) unmatched(methods []*Method) []string {
	index := pattern.IndexOf(methods)
	seen := make(map[string]bool)
	var all []string
	note := func(texts []string) {
		for _, text := range texts {
			if !seen[text] {
				seen[text] = true
				all = append(all, text)
			}
		}
	}
	note(index.Unmatched("Config.Public", c.public))
	for _, l := range c.entries {
		for _, s := range l.scopes {
			note(index.Unmatched(s.verb(), s.patterns))
		}
		if l.decl.Unmatched != nil {
			note(l.decl.Unmatched(methods))
		}
	}
	return all
}

// invalid returns what is wrong with settings of interceptors for the methods that they run for.
func (c *Chain) invalid(methods []*Method) (all []string) {
	for _, l := range c.entries {
		if l.decl.Invalid == nil {
			continue
		}
		applies := slices.DeleteFunc(slices.Clone(methods), func(m *Method) bool { return !l.appliesTo(m) })
		all = append(all, l.decl.Invalid(applies)...)
	}
	return all
}

// maxUnmatched bounds how many patterns an error names.
const maxUnmatched = 20

// Err returns an error that lists three kinds of mistakes, or nil if there are none:
// methods that are neither authenticated nor in [Config.Public], if the chain
// authenticates anything, patterns that match no method, and settings that are wrong for methods.
func (cov *Coverage) Err() error {
	var errs []error
	if open := cov.open(); len(open) > 0 {
		errs = append(errs, fmt.Errorf("hauberk: the chain authenticates calls, but not those of %s: "+
			"authenticate them or list them in hauberk.Config.Public", strings.Join(open, ", ")))
	}
	if n := len(cov.Unmatched); n > 0 {
		named := strings.Join(cov.Unmatched[:min(n, maxUnmatched)], ", ")
		if n > maxUnmatched {
			named += fmt.Sprintf(", and %d more", n-maxUnmatched)
		}
		errs = append(errs, fmt.Errorf(
			"hauberk: no method of the server matches %s: correct the pattern or remove it", named))
	}
	if n := len(cov.Invalid); n > 0 {
		named := strings.Join(cov.Invalid[:min(n, maxUnmatched)], "; ")
		if n > maxUnmatched {
			named += fmt.Sprintf("; and %d more", n-maxUnmatched)
		}
		errs = append(errs, fmt.Errorf("hauberk: settings do not fit the methods of the server: %s", named))
	}
	return errors.Join(errs...)
}

// open returns the methods that are neither authenticated nor public.
func (cov *Coverage) open() []string {
	var open []string
	for _, row := range cov.Rows {
		if cov.Authenticates && !row.Authenticated && !row.Public {
			open = append(open, row.Method)
		}
	}
	return open
}

// WithoutRule returns the methods that are authenticated and not public, and that no rule of
// the chain's authorization admits: either it does not run for them, so that every
// authenticated caller is admitted, or it rejects all their calls. It returns nil for a chain
// without authorization. [Coverage.Err] does not report them, since both can be intended.
func (cov *Coverage) WithoutRule() []string {
	var methods []string
	for _, row := range cov.Rows {
		if cov.withoutRule(row) {
			methods = append(methods, row.Method)
		}
	}
	return methods
}

func (cov *Coverage) withoutRule(row CoverageRow) bool {
	return cov.Authorizes && row.Authenticated && !row.Public && !row.Authorized
}

// String returns the matrix as text, a line for each method.
func (cov *Coverage) String() string {
	var b strings.Builder
	if !cov.Authenticates {
		b.WriteString("this chain has no authentication\n")
	}
	for _, row := range cov.Rows {
		fmt.Fprintf(&b, "%s: %s\n", row.Method, cov.describe(row))
	}
	for _, unmatched := range cov.Unmatched {
		fmt.Fprintf(&b, "%s matches no method\n", unmatched)
	}
	for _, invalid := range cov.Invalid {
		b.WriteString(invalid + "\n")
	}
	return b.String()
}

func (cov *Coverage) describe(row CoverageRow) string {
	var parts []string
	for i, runs := range row.Runs {
		if runs {
			parts = append(parts, cov.Interceptors[i])
		}
	}
	if row.Public {
		parts = append(parts, "(public)")
	}
	if cov.Authenticates && !row.Authenticated && !row.Public {
		parts = append(parts, "(UNGUARDED)")
	}
	if cov.withoutRule(row) {
		parts = append(parts, "(NO RULE)")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}
