// Package idempotency determines which methods may be executed more than once.
package idempotency

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Methods are the methods that an interceptor may repeat. In this order:
//
//   - all, if the configuration of the interceptor says so;
//   - those that match its patterns;
//   - those that a policy says are idempotent;
//   - those that are idempotent by their .proto file ([hauberk.Method.Idempotent]), if the
//     policy does not have them.
//
// The zero value has the methods that are idempotent by their .proto file.
type Methods struct {
	owner    string // the package of the interceptor
	all      bool
	patterns pattern.Set
	policy   map[string]stated // by full name; nil without a policy
}

// stated is the idempotency of a method by a policy.
type stated struct {
	idempotent bool
	setting    hauberk.Setting
}

// Parse sets the patterns of Config.Methods, and Config.AllMethods, of the interceptor of a
// package. The error lists all patterns that are wrong.
func (m *Methods) Parse(owner string, patterns []string, all bool) error {
	set, bad := pattern.ParseAll(patterns)
	errs := make([]error, len(bad))
	for i, text := range bad {
		errs[i] = fmt.Errorf("Config.Methods has %q; %s", text, pattern.Want)
	}
	m.owner, m.all, m.patterns = owner, all, set
	return errors.Join(errs...)
}

// SetPolicy sets the policy. It does nothing if policy is nil.
func (m *Methods) SetPolicy(policy *hauberk.DescriptorPolicy) {
	if policy == nil {
		return
	}
	m.policy = make(map[string]stated, len(policy.Methods))
	for i := range policy.Methods {
		p := &policy.Methods[i]
		setting, ok := p.Setting("idempotent")
		if !ok {
			setting = hauberk.Setting{Name: "idempotent", Value: "false", Source: "default"}
		}
		m.policy["/"+p.Method] = stated{p.Idempotent, setting}
	}
}

// Include reports whether a method may be repeated.
func (m *Methods) Include(method *hauberk.Method) bool {
	if m.all || m.patterns.Matches(method.Service(), method.Name()) {
		return true
	}
	if s, ok := m.policy[method.FullName()]; ok {
		return s.idempotent
	}
	return method.Idempotent()
}

// Settings is for [hauberk.Declaration.Settings]: whether a method may be repeated, and by which setting of the
// interceptor. Without one it returns none, since [hauberk.Chain.Explain] returns what the .proto file says.
func (m *Methods) Settings(method string) []hauberk.Setting {
	service, name, _ := strings.Cut(method, "/")
	by := func(field string) []hauberk.Setting {
		return []hauberk.Setting{{Name: "idempotent", Value: "true", Source: m.owner + ".Config." + field}}
	}
	s, ok := m.policy["/"+method]
	switch {
	case m.all:
		return by("AllMethods")
	case m.patterns.Matches(service, name):
		return by("Methods")
	case ok:
		return []hauberk.Setting{s.setting}
	default:
		return nil
	}
}
