package serving

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// State is the name of a state: 1 to 32 lower-case letters, digits and hyphens, beginning with a letter.
type State string

// The states that have rules from the start. See the package's documentation.
const (
	Starting    State = "starting"
	Serving     State = "serving"
	ReadOnly    State = "read-only"
	Maintenance State = "maintenance"
	Draining    State = "draining"
)

// Config holds the settings of [New]. The zero value has the five states, and begins with Starting.
type Config struct {
	// Initial is the state at the start. The default is Starting.
	Initial State
	// States declares further states, and replaces the rules of the five.
	States map[State]Rule
	// Exempt lists methods that are accepted in each state, in addition to the health and reflection services,
	// as patterns that hauberk.For takes.
	Exempt []string
	// Services lists the services, such as "shop.v1.Cart", whose health status follows the state, in addition
	// to "", which is the server.
	Services []string
}

// Rule says what a server does in a state. With the zero value it accepts no calls, the others receive
// UNAVAILABLE, running streams end at once, and the health status is NOT_SERVING.
type Rule struct {
	// Methods lists the methods that are accepted, as patterns that hauberk.For takes. "*" is all.
	Methods []string
	// NoSideEffects accepts the methods that change nothing as well: see hauberk.Method.NoSideEffects.
	NoSideEffects bool
	// Except lists methods that are not accepted, though Methods or NoSideEffects has them.
	Except []string
	// Ready is whether the server wants calls: the health status is SERVING, and probes of readiness succeed.
	Ready bool

	// Code is the code of the calls that are not accepted. The default is UNAVAILABLE, which clients may
	// retry; FAILED_PRECONDITION is one that they do not.
	Code codes.Code
	// Reason is the reason of the calls that are not accepted. The default is made of the state:
	// "SERVER_READ_ONLY".
	Reason string
	// Message is the text for clients. The default is made of the state: "The server is in the state read-only".
	Message string
	// RetryAfter is sent as google.rpc.RetryInfo. The default is not to send it.
	RetryAfter time.Duration

	// Grace is how long streams that run, and that the state does not accept, may go on. The default, 0, ends
	// them at once.
	Grace time.Duration
	// KeepStreams lets streams go on that run.
	KeepStreams bool
}

// The defaults of the five states.
const (
	DefaultStartingRetryAfter    = time.Second
	DefaultMaintenanceRetryAfter = 30 * time.Second
	DefaultDrainingGrace         = 10 * time.Second
)

// builtIn returns the rules of the five states.
func builtIn() map[State]Rule {
	return map[State]Rule{
		Starting:    {RetryAfter: DefaultStartingRetryAfter},
		Serving:     {Methods: []string{"*"}, Ready: true},
		ReadOnly:    {NoSideEffects: true, Ready: true, Code: codes.FailedPrecondition},
		Maintenance: {RetryAfter: DefaultMaintenanceRetryAfter},
		Draining:    {Grace: DefaultDrainingGrace},
	}
}

// state is a state whose rule can be applied.
type state struct {
	Rule

	name      State
	index     int
	methods   pattern.Set
	except    pattern.Set
	rejection *hauberk.Rejection // without the fields of a call
	counts    counts
}

// all reports whether the state accepts all calls.
func (s *state) all() bool {
	return slices.Contains(s.methods, pattern.Pattern{}) && len(s.except) == 0
}

// accepts reports whether the state accepts calls of a method.
func (s *state) accepts(service, name string, noSideEffects bool) bool {
	return (s.methods.Matches(service, name) || s.NoSideEffects && noSideEffects) && !s.except.Matches(service, name)
}

// states returns the states sorted by name, the patterns of exempt methods, and all that is wrong.
func (c Config) states() (all []*state, exempt pattern.Set, err error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	patterns := func(setting string, texts []string) pattern.Set {
		set, bad := pattern.ParseAll(texts)
		for _, text := range bad {
			fail("%s has %q; %s", setting, text, pattern.Want)
		}
		return set
	}
	rules := builtIn()
	maps.Copy(rules, c.States)
	for i, name := range slices.Sorted(maps.Keys(rules)) {
		s := &state{Rule: rules[name], name: name, index: i}
		place := fmt.Sprintf("States[%q]", name)
		s.methods, s.except = patterns(place+".Methods", s.Methods), patterns(place+".Except", s.Except)
		errs = append(errs, s.check(place)...)
		s.rejection = s.makeRejection()
		all = append(all, s)
	}
	if c.Initial != "" {
		if _, ok := rules[c.Initial]; !ok {
			fail("Initial is %q; want %s", c.Initial, list(all))
		}
	}
	for i, name := range c.Services {
		if p, ok := pattern.Parse(name + "/*"); !ok || p.Service != name {
			fail("Services[%d] is %q; want the full name of a service, such as \"shop.v1.Cart\"", i, name)
		}
	}
	exempt = patterns("Exempt", append([]string{hauberk.Health, hauberk.Reflection}, c.Exempt...))
	return all, exempt, errors.Join(errs...)
}

// maxName is the greatest length of the name of a state.
const maxName = 32

func (name State) wellFormed() bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName && !strings.HasSuffix(string(name), "-")
}

// check returns what is wrong with a rule.
func (s *state) check(place string) (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(place+format, args...)) }
	if !s.name.wellFormed() {
		fail(": want a name of 1 to %d lower-case letters, digits and hyphens, such as \"read-only\"", maxName)
	}
	if s.Code > codes.Unauthenticated {
		fail(".Code is %v; want a code of gRPC, such as codes.Unavailable", s.Code)
	}
	if r := s.Reason; r != "" && hauberk.Reason(&hauberk.Rejection{Reason: r}) != r {
		fail(".Reason is %q; want up to 63 upper-case letters, digits and underscores, such as \"READ_ONLY\"", r)
	}
	if s.RetryAfter < 0 {
		fail(".RetryAfter is %v; want more than 0, or 0 to send none", s.RetryAfter)
	}
	if s.Grace < 0 {
		fail(".Grace is %v; want more than 0, or 0 to end streams at once", s.Grace)
	}
	if s.KeepStreams && s.Grace > 0 {
		fail(".Grace has no effect with KeepStreams")
	}
	if len(s.Except) > 0 && len(s.Methods) == 0 && !s.NoSideEffects {
		fail(".Except has no effect without Methods and NoSideEffects")
	}
	return errs
}

// list lists the names of states.
func list(all []*state) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s.name)
	}
	return strings.Join(names, ", ")
}

// unmatched returns which patterns match none of the methods. Those of "*" always do.
func (x *Interceptor) unmatched(methods []*hauberk.Method) (all []string) {
	index := pattern.IndexOf(methods)
	for _, s := range x.states {
		all = append(all, index.Unmatched(fmt.Sprintf("serving.Config.States[%q].Methods", s.name), s.methods)...)
		all = append(all, index.Unmatched(fmt.Sprintf("serving.Config.States[%q].Except", s.name), s.except)...)
	}
	return append(all, index.Unmatched("serving.Config.Exempt", x.exempt)...)
}
