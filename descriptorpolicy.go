package hauberk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// DescriptorPolicy is the policy of methods as their .proto files state it, with the options
// (hauberk.v1.policy) and (hauberk.v1.service_policy) of hauberk/v1/policy.proto. Make it with
// [FromDescriptors] or [FromRegistry]. It is data: [Config.Policy] makes its methods public, and
// interceptors enforce the rest, such as those of authz.WithPolicy, ratelimit.FromPolicy,
// retry.WithPolicy and transform.WithPolicy.
//
// It must not be modified while a chain is made of it; chains and interceptors keep a copy.
type DescriptorPolicy struct {
	// Methods are all methods of the services, also those without options, in the order of
	// their names.
	Methods []MethodPolicy
}

// MethodPolicy is the policy of one method: its own options, and those of its service for what
// they do not set.
type MethodPolicy struct {
	// Method is the method's name, such as "shop.v1.Cart/Get". It is a pattern for [For].
	Method string
	// Public methods need no authentication. They have no roles or scopes.
	Public bool
	// Roles are those of which the caller needs at least one. nil means any.
	Roles []string
	// Scopes are those that the caller's credential needs, all of them.
	Scopes []string
	// Idempotent methods may be executed more than once: by the policy, or else by the method's
	// idempotency_level.
	Idempotent bool
	// NoSideEffects methods change nothing: by the policy, or else by the method's idempotency_level. It has no
	// effect unless Idempotent is set.
	NoSideEffects bool
	// Deadline is the longest time that a call may take; 0 for none.
	Deadline time.Duration
	// Limits bound the rate of calls. All hold.
	Limits []MethodLimit

	sources policySources
}

// policySources are where the settings of a method are from; "" for settings without one.
type policySources struct{ public, roles, scopes, idempotent, deadline, limits string }

// MethodLimit is a limit of the rate of calls.
type MethodLimit struct {
	// Count calls are admitted in each Per.
	Count int
	Per   time.Duration
	// By says which calls share the limit.
	By LimitBy
	// Service is set if the limit is that of the service: it counts the calls of all methods
	// of the service that have it together.
	Service bool
}

// String returns the limit as text: "100 in 1m0s by user".
func (l MethodLimit) String() string {
	text := fmt.Sprintf("%d in %v by %s", l.Count, l.Per, l.By)
	if l.Service {
		text += ", shared by the service"
	}
	return text
}

// LimitBy says which calls share a limit.
type LimitBy uint8

// The values of LimitBy.
const (
	LimitByPeer   LimitBy = iota + 1 // calls from the same address
	LimitByUser                      // calls of the same Identity.Subject and Issuer
	LimitByTenant                    // calls with the same Identity.Tenant
	LimitByGlobal                    // all calls
)

var limitNames = [...]string{"unset", "peer", "user", "tenant", "global"} //nolint:gochecknoglobals // never written

// String returns the name: "user".
func (b LimitBy) String() string {
	if int(b) < len(limitNames) {
		return limitNames[b]
	}
	return fmt.Sprintf("LimitBy(%d)", uint8(b))
}

// Setting is a setting of an interceptor, or of a chain, for one method. See [Explanation].
type Setting struct {
	Name   string // such as "deadline"
	Value  string // such as "2s"
	Source string // where it was set: "option (hauberk.v1.policy) of shop.v1.Cart/Get"
}

// String returns the setting as text.
func (s Setting) String() string { return s.Name + " " + s.Value + ": " + s.Source }

// application is the source of what Override changes, and of what has none.
const application = "the application"

// Settings returns the settings that the .proto files or the application made, and where. It
// leaves out those that have the default.
func (m *MethodPolicy) Settings() []Setting {
	var all []Setting
	add := func(name, value, source string, zero bool) {
		if source == "" && !zero {
			source = application
		}
		if source != "" {
			all = append(all, Setting{name, value, source})
		}
	}
	limits := make([]string, len(m.Limits))
	for i, l := range m.Limits {
		limits[i] = l.String()
	}
	s := &m.sources
	add("public", strconv.FormatBool(m.Public), s.public, !m.Public)
	add("roles", list(m.Roles), s.roles, len(m.Roles) == 0)
	add("scopes", list(m.Scopes), s.scopes, len(m.Scopes) == 0)
	add("idempotent", strconv.FormatBool(m.Idempotent), s.idempotent, !m.Idempotent)
	add("deadline", m.Deadline.String(), s.deadline, m.Deadline == 0)
	add("limits", list(limits), s.limits, len(limits) == 0)
	return all
}

// Setting returns one of Settings by its name: "public", "roles", "scopes", "idempotent",
// "deadline" or "limits".
func (m *MethodPolicy) Setting(name string) (setting Setting, ok bool) {
	all := m.Settings()
	i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return all[i], true
}

// list writes names for people.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// methods returns Methods, also of a nil policy.
func (p *DescriptorPolicy) methods() []MethodPolicy {
	if p == nil {
		return nil
	}
	return p.Methods
}

// Method returns the policy of a method, such as "shop.v1.Cart/Get", or nil if the method is not
// one of the services. A leading slash is optional. The result is an element of Methods.
func (p *DescriptorPolicy) Method(name string) *MethodPolicy {
	name = strings.TrimPrefix(name, "/")
	i := slices.IndexFunc(p.methods(), func(m MethodPolicy) bool { return m.Method == name })
	if i < 0 {
		return nil
	}
	return &p.Methods[i]
}

// PublicMethods returns the names of the public methods.
func (p *DescriptorPolicy) PublicMethods() []string {
	return p.names(func(m *MethodPolicy) bool { return m.Public })
}

// IdempotentMethods returns the names of the idempotent methods.
func (p *DescriptorPolicy) IdempotentMethods() []string {
	return p.names(func(m *MethodPolicy) bool { return m.Idempotent })
}

// Deadlines returns the deadlines by the names of the methods that have one.
func (p *DescriptorPolicy) Deadlines() map[string]time.Duration {
	deadlines := make(map[string]time.Duration)
	for i := range p.methods() {
		if m := &p.Methods[i]; m.Deadline > 0 {
			deadlines[m.Method] = m.Deadline
		}
	}
	return deadlines
}

func (p *DescriptorPolicy) names(of func(m *MethodPolicy) bool) []string {
	var names []string
	for i := range p.methods() {
		if of(&p.Methods[i]) {
			names = append(names, p.Methods[i].Method)
		}
	}
	return names
}

// Override calls edit with the policy of each method that a pattern matches, in the form that
// [For] takes: what the application sets overrides the .proto file. The source of the changed
// settings is then the application. It returns an error if the policy or edit is nil, if the pattern
// matches no method, or if the result contradicts itself; the policy is unchanged then.
func (p *DescriptorPolicy) Override(methods string, edit func(m *MethodPolicy)) error {
	switch {
	case p == nil:
		return errors.New("hauberk: DescriptorPolicy.Override of a nil policy")
	case edit == nil:
		return fmt.Errorf("hauberk: DescriptorPolicy.Override of %q with a nil function", methods)
	}
	of, ok := pattern.Parse(methods)
	if !ok {
		return fmt.Errorf("hauberk: DescriptorPolicy.Override of %q: %s", methods, pattern.Want)
	}
	var errs []error
	edited := make([]MethodPolicy, len(p.Methods))
	matched := false
	for i := range p.Methods {
		before := p.Methods[i].clone()
		edited[i] = before
		service, name, _ := strings.Cut(before.Method, "/")
		if !of.Matches(service, name) {
			continue
		}
		matched = true
		m := before.clone()
		edit(&m)
		m.Method, m.sources = before.Method, before.sources
		m.noteChanges(&before)
		if err := m.check(); err != nil {
			errs = append(errs, fmt.Errorf("hauberk: DescriptorPolicy.Override of %s: %w", m.Method, err))
		}
		edited[i] = m
	}
	if !matched {
		return fmt.Errorf("hauberk: DescriptorPolicy.Override: no method matches %q", methods)
	}
	if len(errs) == 0 {
		p.Methods = edited
	}
	return errors.Join(errs...)
}

func (m *MethodPolicy) clone() MethodPolicy {
	c := *m
	c.Roles, c.Scopes, c.Limits = slices.Clone(m.Roles), slices.Clone(m.Scopes), slices.Clone(m.Limits)
	return c
}

// noteChanges sets the sources of what differs from an earlier policy.
func (m *MethodPolicy) noteChanges(before *MethodPolicy) {
	note := func(source *string, changed bool) {
		if changed {
			*source = application
		}
	}
	note(&m.sources.public, m.Public != before.Public)
	note(&m.sources.roles, !slices.Equal(m.Roles, before.Roles))
	note(&m.sources.scopes, !slices.Equal(m.Scopes, before.Scopes))
	note(&m.sources.idempotent, m.Idempotent != before.Idempotent || m.NoSideEffects != before.NoSideEffects)
	note(&m.sources.deadline, m.Deadline != before.Deadline)
	note(&m.sources.limits, !slices.Equal(m.Limits, before.Limits))
}
