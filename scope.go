package hauberk

import (
	"context"
	"errors"
	"fmt"
)

// For runs interceptors only for the methods of a pattern: one method
// ("shop.v1.Cart/Get"), the methods of a service ("shop.v1.Cart/*"), or all
// ("*"). A leading slash is optional. It costs nothing at call time. [New]
// reports a bad pattern.
func For(pattern string, interceptors ...Interceptor) Interceptor {
	return newScope("For", pattern, false, interceptors)
}

// Except runs interceptors for all methods but those of a pattern; see [For].
func Except(pattern string, interceptors ...Interceptor) Interceptor {
	return newScope("Except", pattern, true, interceptors)
}

// When runs interceptors for the calls that condition says yes to. It is asked
// once a call, when the first of them is reached, and must be safe for
// concurrent use. What runs only under a condition proves nothing: [New] does
// not count its writes, [Chain.Coverage] does not count it as authentication.
func When(condition func(call *Call) bool, interceptors ...Interceptor) Interceptor {
	g := &group{name: "When", when: condition, inner: interceptors}
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
	when  func(*Call) bool
	inner []Interceptor
	err   error
}

// Intercept reports a group that was run without a chain.
func (g *group) Intercept(context.Context, *Call, Next) error {
	return errInternal("%s works as an argument of hauberk.New, or of another group in it", g.name)
}

// condition is asked once a call; the links under it share the answer.
type condition struct {
	ask    func(*Call) bool
	answer Key[bool]
}

func newCondition(ask func(*Call) bool) *condition {
	return &condition{ask: ask, answer: NewKey[bool]("condition")}
}

func (c *condition) and(ask func(*Call) bool) *condition {
	return newCondition(func(call *Call) bool { return c.holds(call) && ask(call) })
}

func (c *condition) holds(call *Call) bool {
	yes, asked := c.answer.From(call)
	if !asked {
		yes = c.ask(call)
		c.answer.Set(call, yes)
	}
	return yes
}

// Intercept never runs: a condition stands in a link only while New builds it.
func (c *condition) Intercept(ctx context.Context, call *Call, next Next) error {
	return next(ctx, call)
}

// conditional is a link under a condition.
type conditional struct {
	when  *condition
	inner Interceptor
}

func (c *conditional) Intercept(ctx context.Context, call *Call, next Next) error {
	if !c.when.holds(call) {
		return next(ctx, call)
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
	return &setting{func(c *Chain) error {
		var errs []error
		for _, text := range patterns {
			p, err := parsePattern(text)
			errs = append(errs, err)
			c.public = append(c.public, p)
		}
		return errors.Join(errs...)
	}}
}

// ErrorDomain sets the domain of the google.rpc.ErrorInfo in the refusals that a
// server's chain sends; the default is [DefaultDomain].
func ErrorDomain(domain string) Interceptor {
	return &setting{func(c *Chain) error {
		if domain == "" {
			return errors.New("ErrorDomain is empty")
		}
		c.domain = domain
		return nil
	}}
}

// ExposeErrors sends the text of errors that carry no status to the client. By
// default the client is told UNKNOWN, "unknown error", and the text stays in the
// process, where links further out see it.
func ExposeErrors() Interceptor {
	return &setting{func(c *Chain) error {
		c.exposeErrors = true
		return nil
	}}
}
