package hauberk

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
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
	PhaseAudit
	PhaseRecovery
	PhaseServing
	PhaseCoarseLimit
	PhaseDeadline
	PhaseVersion
	PhaseCache
	PhaseRetry
	PhaseBreaker
	PhaseAuthn
	PhaseField
	PhaseAuthz
	PhaseLimit
	PhaseConcurrency
	PhaseValidate
	PhaseErrors
	PhaseFault
)

var phaseNames = [...]string{ //nolint:gochecknoglobals // never written
	"any", "request id", "tracing", "metrics", "logging", "audit", "recovery", "serving", "coarse limit",
	"deadline", "version", "cache", "retry", "breaker", "authn", "field", "authz", "limit", "concurrency",
	"validate", "errors", "fault",
}

// String returns the phase's name: "request id".
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Finding is one unusual thing about a chain, from [Chain.Lint].
type Finding struct {
	// Outer and Inner are the interceptors, in the order of the chain. Inner may be empty,
	// and Outer is "Config.Public" for a finding about that setting.
	Outer, Inner string
	Message      string
}

// Lint returns
//
//   - the interceptors that do not work on a side, with which the chain cannot be attached
//     there;
//   - the warnings of interceptors ([Declaration.Warning]);
//   - a [Config.Public] that lists all methods on a server, or any on a client;
//   - the pairs of interceptors in an unusual order, with the reason for the usual one;
//   - two interceptors that repeat calls of the same methods, such as retry and hedge.
//
// The usual order is
//
//   - on a server: request id, tracing, metrics, logging, audit, recovery, serving, a coarse
//     limit, deadline, version, authn, fields, authz, limits by user, cache, concurrency,
//     validate, errors, faults, where a cache may also run inside concurrency and validate;
//   - on a client: request id, metrics, logging, audit, deadline, cache, retry, and per attempt
//     tracing, metrics, breaker, authn, limits, concurrency, validate, faults. Tracing may run
//     outside as well, and fields and errors anywhere. A coarse limit has the place of the other
//     limits.
//
// A finding about the order is advice: the chain runs in any order.
func (c *Chain) Lint(side Side) []Finding {
	c.check("Lint")
	findings := c.lintPublic(side)
	for i, outer := range c.entries {
		if !outer.decl.Sides.include(side) {
			findings = append(findings, Finding{Outer: outer.title(), Message: outer.wrongSide(side)})
		}
		if warning := outer.decl.Warning; warning != "" {
			findings = append(findings, Finding{Outer: outer.title(), Message: warning})
		}
		for j := i + 1; j < len(c.entries); j++ {
			inner := c.entries[j]
			if message := c.lintPair(side, i, j); message != "" && c.meet(outer, inner) {
				findings = append(findings, Finding{outer.title(), inner.title(), message})
			}
		}
	}
	return findings
}

// lintPair returns what is odd about two interceptors, i outside j, or "".
func (c *Chain) lintPair(side Side, i, j int) string {
	outer, inner := c.entries[i], c.entries[j]
	switch {
	case c.inverted(side, i, j):
		return fmt.Sprintf("%s (%s) runs outside %s (%s); on a %s it usually runs inside%s",
			outer.title(), outer.decl.Phase, inner.title(), inner.decl.Phase, side,
			reasonFor(side, outer.phase(side), inner.phase(side)))
	case side == ClientSide && outer.decl.Phase == PhaseRetry && inner.decl.Phase == PhaseRetry:
		return fmt.Sprintf("%[1]s and %[2]s both repeat calls: %[2]s repeats each attempt of %[1]s, so that "+
			"the attempts multiply; use one of them for a method", outer.title(), inner.title())
	default:
		return ""
	}
}

// phase returns the phase that decides about the usual place on a side. Limits of clients are all for attempts.
func (l *entry) phase(side Side) Phase {
	if side == ClientSide && l.decl.Phase == PhaseCoarseLimit {
		return PhaseLimit
	}
	return l.decl.Phase
}

// lintPublic returns what is odd about the public methods.
func (c *Chain) lintPublic(side Side) []Finding {
	finding := func(message string) []Finding { return []Finding{{Outer: "Config.Public", Message: message}} }
	switch {
	case len(c.public) == 0:
		return nil
	case side == ClientSide:
		return finding("Config.Public has no effect on a client: servers decide which methods are public")
	case slices.Contains(c.public, pattern.Pattern{}):
		return finding(`Config.Public lists "*": no method of the server needs authentication`)
	default:
		return nil
	}
}

// inverted reports whether two interceptors, i outside j, are in an unusual order.
func (c *Chain) inverted(side Side, i, j int) bool {
	if c.entries[i].decl.Phase == PhaseAny || c.entries[j].decl.Phase == PhaseAny {
		return false
	}
	least, _ := c.usual(side, i)
	_, most := c.usual(side, j)
	return least > most
}

// usual returns the range of an interceptor's usual places, counted from the outside. On
// a client, interceptors that observe have two places: the one that they have on a server,
// where they see calls, and inside retries, where they see attempts. The interceptors that
// shape calls decide which of them is meant.
func (c *Chain) usual(side Side, i int) (least, most int) {
	p := c.entries[i].phase(side)
	ofCalls, ofAttempts := int(p)<<8, int(PhaseRetry)<<8+int(p)
	if side == ServerSide && p == PhaseCache { // it answers admitted callers
		return int(PhaseLimit)<<8 + 1, int(PhaseValidate)<<8 + 1
	}
	if side == ClientSide && p == PhaseErrors { // it changes what errors.Is finds, and no status
		return 0, math.MaxInt
	}
	if side == ClientSide && p == PhaseField { // before what decides by them
		return 0, int(PhaseFault) << 8
	}
	if side == ServerSide || !p.observes() {
		return ofCalls, ofCalls
	}
	outside, inside := shapingCalls(c.entries[:i]), shapingCalls(c.entries[i+1:])
	switch {
	case outside > inside:
		return ofAttempts, ofAttempts
	case inside > 0:
		return ofCalls, ofCalls
	default:
		return ofCalls, ofAttempts
	}
}

func (p Phase) observes() bool { return p >= PhaseTracing && p <= PhaseRecovery }

// shapingCalls counts the interceptors whose place on a client is outside attempts.
func shapingCalls(entries []*entry) (n int) {
	for _, l := range entries {
		if p := l.phase(ClientSide); p > PhaseRecovery && p <= PhaseRetry {
			n++
		}
	}
	return n
}

// meet reports whether there are methods that two interceptors both run for.
func (c *Chain) meet(a, b *entry) bool {
	return slices.ContainsFunc(c.representatives(), func(m *Method) bool { return a.appliesTo(m) && b.appliesTo(m) })
}

// proveOrder reports each interceptor that reads state which no outer interceptor has
// written, for some method.
func (c *Chain) proveOrder() []error {
	var errs []error
	methods := c.representatives()
	for at, reader := range c.entries {
		for _, key := range reader.decl.Reads {
			if why := c.unproven(at, key, methods); why != "" {
				errs = append(errs, fmt.Errorf("hauberk: %s: %s reads the state %q before it is written: %s",
					reader.at, reader.title(), key.Name(), why))
			}
		}
	}
	return errs
}

// unproven says why state is not known to be written when the interceptor at a place
// reads it, for the first of some methods; or "".
func (c *Chain) unproven(at int, key StateKey, methods []*Method) string {
	for _, m := range methods {
		if c.entries[at].appliesTo(m) {
			if why := c.unwritten(at, key, m); why != "" {
				return why
			}
		}
	}
	return ""
}

// unwritten says why no interceptor has surely written the state when the interceptor at a
// place reads it in a call of m; or "".
func (c *Chain) unwritten(at int, key StateKey, m *Method) string {
	why := "no other interceptor writes it"
	for i, writer := range c.entries {
		if i == at || !writer.writes(key) {
			continue
		}
		fault := c.entries[at].doubts(writer, i < at, m)
		if fault == "" {
			return ""
		}
		why = fmt.Sprintf("%s (%s), which writes it, %s", writer.title(), writer.at, fault)
	}
	return why
}

func (l *entry) writes(key StateKey) bool {
	return slices.ContainsFunc(l.decl.Writes, func(k StateKey) bool { return k.identity() == key.identity() })
}

// doubts says why, when l runs in a call of m, another interceptor may not have run
// before and enforced what it decided; or "".
func (l *entry) doubts(writer *entry, outside bool, m *Method) string {
	unshared := func(c *condition) bool { return !slices.Contains(l.conditions, c) }
	switch {
	case !outside:
		return "runs inside it"
	case !writer.appliesTo(m):
		return "does not run for " + m.represented()
	case slices.ContainsFunc(writer.conditions, unshared):
		return "runs only under a condition"
	case writer.shadow && !l.shadow:
		return "is in shadow"
	default:
		return ""
	}
}

// other is a name in a representative for the names that no pattern has. It is well-formed,
// and too odd for a pattern.
const other = "~other~"

// representatives returns methods that between them are under every combination
// of the chain's patterns that a method can be under.
func (c *Chain) representatives() []*Method {
	services := map[string][]string{other: nil}
	for _, l := range c.entries {
		for _, s := range l.scopes {
			for _, p := range s.patterns {
				switch {
				case p.Package != "":
					services[p.Package+"."+other] = nil
				case p.Service != "":
					services[p.Service] = append(services[p.Service], p.Name)
				}
			}
		}
	}
	var out []*Method
	for service, names := range services {
		slices.Sort(names)
		for _, name := range append(slices.Compact(names), other) {
			if name != "" {
				out = append(out, &Method{full: "/" + service + "/" + name, service: service, name: name})
			}
		}
	}
	slices.SortFunc(out, func(a, b *Method) int { return strings.Compare(a.full, b.full) })
	return out
}

// represented says which methods a representative is for.
func (m *Method) represented() string {
	pkg, isPackage := strings.CutSuffix(m.service, "."+other)
	switch {
	case m.service == other:
		return "the methods that no pattern names"
	case isPackage:
		return "the services of the package " + pkg + " that no pattern names"
	case m.name == other:
		return "every method of " + m.service
	default:
		return m.full
	}
}
