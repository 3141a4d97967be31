package hauberk

import (
	"fmt"
	"slices"
	"strings"
)

// Explanation lists the interceptors of a chain for one method.
type Explanation struct {
	Method string
	Steps  []Step
	Public bool // in Config.Public, or public by Config.Policy
	// Settings are those of the chain for the method, if it has a [Config.Policy].
	Settings []Setting
}

// Step is one interceptor of an [Explanation], outermost first.
type Step struct {
	Interceptor string
	Phase       Phase
	Runs        bool
	Why         string // why it runs or not, and how
	Warning     string // [Declaration.Warning], if it runs
	// Settings are those of the interceptor for the method, if it runs and lists them: see
	// [Declaration.Settings].
	Settings []Setting
}

// Explain returns for a method, such as "shop.v1.Cart/Get", which interceptors run, in
// which order and why. A leading slash is optional; a name of another form is an error.
func (c *Chain) Explain(method string) (*Explanation, error) {
	c.check("Explain")
	m, err := newMethod("/"+strings.TrimPrefix(method, "/"), Unary, true)
	if err != nil {
		return nil, err
	}
	m.public, m.stated = c.isPublic(m), c.policy[m.full]
	e := &Explanation{Method: m.full, Public: m.public, Settings: c.settings(m)}
	for _, l := range c.entries {
		runs, why := l.explain(m)
		step := Step{Interceptor: l.title(), Phase: l.decl.Phase, Runs: runs, Why: why}
		if runs && l.decl.Settings != nil {
			step.Settings = l.decl.Settings(strings.TrimPrefix(m.full, "/"))
		}
		if runs {
			step.Warning = l.decl.Warning
		}
		e.Steps = append(e.Steps, step)
	}
	return e, nil
}

// settings returns the settings of the chain for a method.
func (c *Chain) settings(m *Method) (all []Setting) {
	switch {
	case c.policy == nil:
	case c.public.Matches(m.service, m.name):
		all = append(all, Setting{"public", "true", "hauberk.Config.Public"})
	case m.stated != nil:
		if setting, ok := m.stated.Setting("public"); ok {
			all = append(all, setting)
		}
	}
	if slices.ContainsFunc(c.entries, (*entry).asksIdempotency) {
		all = append(all, m.idempotency())
	}
	return all
}

// asksIdempotency reports whether what the interceptor does depends on [Method.Idempotent]: retries, hedges,
// caches and idempotency keys.
func (l *entry) asksIdempotency() bool {
	return l.decl.Phase == PhaseRetry || l.decl.Phase == PhaseCache
}

// idempotency returns where [Method.Idempotent] was set.
func (m *Method) idempotency() Setting {
	stated, source := m.stated, "no option of the method or its service"
	if stated == nil {
		switch d := m.Descriptor(); d {
		case nil:
			source = "this program does not link the .proto file of the method"
		default:
			policy, err := policyOf(d)
			if err != nil {
				return Setting{"idempotent", "false", "its options are invalid: " + err.Error()}
			}
			stated = &policy
		}
	}
	if stated != nil {
		if setting, ok := stated.Setting("idempotent"); ok {
			return setting
		}
	}
	return Setting{"idempotent", "false", source}
}

func (l *entry) explain(m *Method) (runs bool, why string) {
	var reasons []string
	if l.deniesMalformed(m) {
		reasons = append(reasons, "it decides, and the name of the method is not well-formed")
	} else {
		for _, s := range l.scopes {
			if !s.matches(m) {
				return false, "not matched by " + s.String()
			}
			reasons = append(reasons, "matched by "+s.String())
		}
	}
	if l.abstains(m) {
		if m.public {
			return false, "lets all calls pass: the method is public"
		}
		return false, "lets all calls of the method pass"
	}
	if len(l.conditions) > 0 {
		reasons = append(reasons, "if its condition holds for the call")
	}
	if l.shadow {
		reasons = append(reasons, "in shadow: decides and does not enforce")
	}
	if len(reasons) == 0 {
		return true, "for every method"
	}
	return true, strings.Join(reasons, "; ")
}

// String returns the explanation as text, a line for each interceptor and each setting.
func (e *Explanation) String() string {
	var b strings.Builder
	b.WriteString(e.Method)
	if e.Public {
		b.WriteString(" (public)")
	}
	b.WriteByte('\n')
	for _, s := range e.Settings {
		fmt.Fprintf(&b, "              %s\n", s)
	}
	for i, s := range e.Steps {
		state := "runs"
		if !s.Runs {
			state = "skipped"
		}
		fmt.Fprintf(&b, "%3d  %-7s  %s: %s\n", i+1, state, s.Interceptor, s.Why)
		if s.Warning != "" {
			fmt.Fprintf(&b, "              warning: %s\n", s.Warning)
		}
		for _, setting := range s.Settings {
			fmt.Fprintf(&b, "              %s\n", setting)
		}
	}
	return b.String()
}
