package hauberk

import (
	"fmt"
	"slices"
	"strings"
)

// Phase is a usual place in a chain, for [Declaration] and [Chain.Lint].
type Phase uint8

// The phases. PhaseAny is that of interceptors with no usual place.
const (
	PhaseAny Phase = iota
	PhaseRequestID
	PhaseTracing
	PhaseMetrics
	PhaseLogging
	PhaseRecovery
	PhaseCoarseLimit
	PhaseDeadline
	PhaseCache
	PhaseRetry
	PhaseBreaker
	PhaseAuthn
	PhaseAuthz
	PhaseLimit
	PhaseConcurrency
	PhaseValidate
)

var phaseNames = [...]string{
	"any", "request id", "tracing", "metrics", "logging", "recovery", "coarse limit", "deadline",
	"cache", "retry", "breaker", "authn", "authz", "limit", "concurrency", "validate",
}

// String returns the phase's name: "request id".
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// observes says of a phase that it only watches, so that on a client it may stand
// outside retries, to see calls, or inside, to see attempts.
func (p Phase) observes() bool {
	return p == PhaseTracing || p == PhaseMetrics || p == PhaseLogging || p == PhaseRecovery
}

// Finding is one thing that [Chain.Lint] would do otherwise.
type Finding struct {
	Outer, Inner string // the links, in the order that the chain has them
	Message      string
}

// Lint names the pairs of links that stand the other way round than the usual
// order, which for a server is request id, tracing, metrics, logging, recovery,
// a coarse limit, deadline, authn, authz, limits by user, concurrency, validate,
// and for a client request id, metrics, logging, deadline, cache, retry, and per
// attempt tracing, metrics, breaker, authn, limits. A finding is advice: a chain
// in another order runs.
func (c *Chain) Lint(side Side) []Finding {
	c.check("Lint")
	var findings []Finding
	for i, outer := range c.links {
		for _, inner := range c.links[i+1:] {
			if inverted(side, outer.decl.Phase, inner.decl.Phase) {
				findings = append(findings, Finding{outer.decl.Name, inner.decl.Name, fmt.Sprintf(
					"%s (%s) runs outside %s (%s); on a %s it usually stands inside",
					outer.decl.Name, outer.decl.Phase, inner.decl.Name, inner.decl.Phase, side)})
			}
		}
	}
	return findings
}

func inverted(side Side, outer, inner Phase) bool {
	if outer == PhaseAny || inner == PhaseAny || outer <= inner {
		return false
	}
	return side == ServerSide || !inner.observes()
}

// proveOrder reports each link that reads state which no link further out has
// written, for some method.
func (c *Chain) proveOrder() []error {
	var errs []error
	told := make(map[string]bool)
	for _, m := range c.representatives() {
		for _, e := range c.proveOrderFor(m) {
			if text := e.Error(); !told[text] {
				told[text] = true
				errs = append(errs, e)
			}
		}
	}
	return errs
}

func (c *Chain) proveOrderFor(m *Method) []error {
	var errs []error
	var written []*keyID
	for _, l := range c.links {
		if !l.appliesTo(m) {
			continue
		}
		for _, k := range l.decl.Reads {
			if !slices.Contains(written, k.identity()) {
				errs = append(errs, c.unwritten(l, k))
			}
		}
		if !l.conditional && !l.shadow {
			for _, k := range l.decl.Writes {
				written = append(written, k.identity())
			}
		}
	}
	return errs
}

// unwritten explains a read before the write, and where the writer stands.
func (c *Chain) unwritten(reader *link, key StateKey) error {
	where := "no link writes it"
	for _, l := range c.links {
		for _, k := range l.decl.Writes {
			if k.identity() == key.identity() {
				where = fmt.Sprintf("%s, which writes it, must run further out, for the same methods and without a condition", l.decl.Name)
			}
		}
	}
	return fmt.Errorf("hauberk: %s reads the state %q before it is written: %s", reader.decl.Name, key.Name(), where)
}

// representatives returns methods that between them are under every combination
// of the chain's patterns that a method can be under.
func (c *Chain) representatives() []*Method {
	const other = "\x00other" // no pattern names it
	services := map[string][]string{other: {other}}
	for _, l := range c.links {
		for _, s := range l.scopes {
			if s.pattern.service != "" {
				services[s.pattern.service] = append(services[s.pattern.service], s.pattern.name)
			}
		}
	}
	var out []*Method
	for service, names := range services {
		for _, name := range append(names, other) {
			if name != "" {
				out = append(out, &Method{full: "/" + service + "/" + name, service: service, name: name})
			}
		}
	}
	slices.SortFunc(out, func(a, b *Method) int { return strings.Compare(a.full, b.full) })
	return out
}
