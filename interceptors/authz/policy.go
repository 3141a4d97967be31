package authz

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// WithPolicy adds a rule that allows for each method whose .proto file states who may call it
// (hauberk/v1/policy.proto). The caller needs an identity, one of the roles, and all of the scopes.
// Names are compared as a whole; a star has no meaning.
//
//   - A method that a rule of Config.Policy.Allow names has the rules of the Config instead. A
//     rule with the pattern "*" names every method.
//   - The rules of Config.Policy.Deny hold for all methods.
//   - A method whose options say nothing about callers (neither public nor roles nor scopes, also of
//     its service) has no rule. It is rejected unless the Config allows it.
//
// [hauberk.Chain.Explain] says which of them a method has. Give [hauberk.Config.Policy] the same
// policy: hauberk.New then reports methods whose roles and scopes no rule enforces. policy may be
// nil: it adds no rules then.
func WithPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(x *Interceptor) {
		if policy == nil {
			return
		}
		x.stated = []statedRule{}
		for i := range policy.Methods {
			m := &policy.Methods[i]
			if settings := aboutCallers(m); len(settings) > 0 && !m.Public {
				x.stated = append(x.stated, statedRule{
					m.Method, slices.Clone(m.Roles), slices.Clone(m.Scopes), settings,
				})
			}
		}
	})
}

// statedRule is what a policy states about the callers of a method.
type statedRule struct {
	method        string
	roles, scopes []string
	settings      []hauberk.Setting
}

// aboutCallers returns the settings of a method that say who may call it.
func aboutCallers(m *hauberk.MethodPolicy) (settings []hauberk.Setting) {
	for _, name := range []string{"public", "roles", "scopes"} {
		if s, ok := m.Setting(name); ok {
			settings = append(settings, s)
		}
	}
	return settings
}

// addStated adds the rules of a policy for the methods that no rule of the Config names.
func (c *compiler) addStated(allow *index, stated []statedRule) {
	var added []*rule
	var patterns []pattern.Set
	for _, s := range stated {
		c.at = fmt.Sprintf("WithPolicy: %.100q", s.method)
		p, ok := pattern.Parse(s.method)
		if !ok || p.Service == "" || p.Name == "" {
			c.failf(`it is no method; want "package.Service/Method"`)
			continue
		}
		if len(s.method) > MaxValue || tooMany(c, "Roles", len(s.roles)) || tooMany(c, "Scopes", len(s.scopes)) {
			continue
		}
		if slices.Contains(s.roles, "") || slices.Contains(s.scopes, "") {
			c.failf("a role or a scope is empty; want names")
			continue
		}
		if len(allow.named("/"+p.Service+"/"+p.Name, p.Service, p.Name)) > 0 {
			continue
		}
		r := &rule{name: "policy of " + p.String(), at: c.rules, identity: new(identityMatch), required: s.scopes}
		c.rules++
		if len(s.roles) > 0 {
			r.identity.roles = new(texts)
			r.identity.roles.setWhole(s.roles)
		}
		added, patterns = append(added, r), append(patterns, pattern.Set{p})
	}
	for i, r := range added {
		c.identity = true
		allow.add(r, patterns[i])
	}
}

// enforces reports whether a rule has the roles and scopes of a method, or the Config has rules in
// their place.
func (x *Interceptor) enforces(policy *hauberk.MethodPolicy) bool {
	if len(x.ownRules(policy.Method)) > 0 {
		return true
	}
	i := slices.IndexFunc(x.stated, func(s statedRule) bool { return s.method == policy.Method })
	return i >= 0 && slices.Equal(x.stated[i].roles, policy.Roles) && slices.Equal(x.stated[i].scopes, policy.Scopes)
}

// ownRules returns the names of the rules of the Config that allow calls of a method.
func (x *Interceptor) ownRules(method string) []string {
	service, name, _ := strings.Cut(method, "/")
	var names []string
	for _, r := range x.allow.named("/"+method, service, name) {
		if r.at < len(x.config.Policy.Deny)+len(x.config.Policy.Allow) {
			names = append(names, r.name)
		}
	}
	return names
}

// maxNames bounds how many rules settings names.
const maxNames = 5

// settings returns which rules allow calls of a method: those of the Config, or that of the policy.
func (x *Interceptor) settings(method string) []hauberk.Setting {
	names := x.ownRules(method)
	if n := len(names); n > 0 {
		if n > maxNames {
			names = append(names[:maxNames:maxNames], fmt.Sprintf("and %d more", n-maxNames))
		}
		return []hauberk.Setting{{Name: "rules", Value: strings.Join(names, ", "), Source: "authz.Config.Policy"}}
	}
	i := slices.IndexFunc(x.stated, func(s statedRule) bool { return s.method == method })
	if i < 0 {
		return nil
	}
	return x.stated[i].settings
}
