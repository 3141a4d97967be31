package hauberk

import (
	"context"
	"errors"
	"fmt"
)

// For runs interceptors only for the methods of a pattern: one method
// ("shop.v1.Cart/Get"), the methods of a service ("shop.v1.Cart/*"), or all
// ("*"). A leading slash is optional. It costs nothing at call time. [New]
// reports a bad pattern. Groups may stand in each other; all must agree.
func For(pattern string, interceptors ...Interceptor) Interceptor {
	return newScope("For", pattern, false, interceptors)
}

// Except runs interceptors for all methods but those of a pattern; see [For].
func Except(pattern string, interceptors ...Interceptor) Interceptor {
	return newScope("Except", pattern, true, interceptors)
}

// When runs interceptors for the calls that condition says yes to. It is asked
// when the first of them is reached, and its answer holds for the others and for
// further attempts of the call; attempts beside each other may both ask. It must
// be safe for concurrent use. What runs only under a condition proves little:
// [New] counts its writes only for interceptors under the same condition, and
// [Chain.Coverage] does not count it.
func When(condition func(call *Call) bool, interceptors ...Interceptor) Interceptor {
	g := &group{name: "When", when: newCondition(condition), inner: interceptors}
	if condition == nil {
		g.err = errors.New("the condition of When is nil")
	}
	return g
}

func newScope(name, text string, except bool, inner []Interceptor) Interceptor {
	p, err := parsePattern(text)
	return &group{
		name:  fmt.Sprintf("%s(%q)", name, text),
		scope: scope{p, except},
		inner: inner,
		err:   err,
	}
}

// group is interceptors that New puts into the chain under a scope or condition.
type group struct {
	name  string
	scope scope
	when  *condition // nil stands for the scope
	inner []Interceptor
	err   error
}

// Intercept reports a group that was run without a chain.
func (g *group) Intercept(context.Context, *Call, Next) error {
	return errInternal("%s works as an argument of hauberk.New, or of another group in it", g.name)
}

// scope says for which methods an interceptor runs.
type scope struct {
	pattern pattern
	except  bool
}

func (s scope) matches(m *Method) bool { return s.pattern.Matches(m.service, m.name) != s.except }

// String writes the scope as in the source.
func (s scope) String() string {
	if s.except {
		return fmt.Sprintf("Except(%q)", s.pattern)
	}
	return fmt.Sprintf("For(%q)", s.pattern)
}

// condition is asked once a call; the interceptors under it share the answer.
type condition struct {
	ask    func(*Call) bool
	answer Key[bool]
}

func newCondition(ask func(*Call) bool) *condition {
	return &condition{ask: ask, answer: NewKey[bool]("condition")}
}

func (c *condition) holds(call *Call) bool {
	yes, asked := c.answer.From(call)
	if !asked {
		yes = c.answer.keep(call, c.ask(call))
	}
	return yes
}

// conditional is an interceptor under conditions.
type conditional struct {
	conditions []*condition
	inner      Interceptor
	decides    bool
}

func (c *conditional) Intercept(ctx context.Context, call *Call, next Next) error {
	for _, when := range c.conditions {
		if !when.holds(call) {
			if c.decides {
				call.Abstain()
			}
			return next(ctx, call)
		}
	}
	return c.inner.Intercept(ctx, call, next)
}

// setting is something that a chain is told, in the list of its interceptors.
type setting struct {
	set func(*Chain) error
}

// Intercept goes on: a setting does nothing for a call.
func (s *setting) Intercept(ctx context.Context, call *Call, next Next) error {
	return next(ctx, call)
}

// Public declares methods that need no authentication, for [Chain.Coverage].
// Patterns are those of [For].
func Public(patterns ...string) Interceptor {
	return &setting{func(c *Chain) (err error) {
		c.public, err = parsePatterns(c.public, patterns)
		return err
	}}
}

// ErrorDomain sets the domain of the google.rpc.ErrorInfo in the rejections that a
// server's chain sends; the default is [DefaultDomain].
func ErrorDomain(domain string) Interceptor {
	return &setting{func(c *Chain) error {
		if domain == "" {
			return errors.New("ErrorDomain is empty; want a name such as \"shop.example\"")
		}
		c.domain = domain
		return nil
	}}
}

// ExposeErrors sends the text of errors that carry no status to the client, and
// the whole text of those that wrap a context error. By default the client is
// told UNKNOWN, "unknown error", or the context error's own text, and the rest
// stays in the process, where outer interceptors see it.
func ExposeErrors() Interceptor {
	return &setting{func(c *Chain) error {
		c.exposeErrors = true
		return nil
	}}
}
