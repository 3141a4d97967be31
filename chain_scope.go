package hauberk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// Patterns is one pattern of methods, or several.
type Patterns interface{ string | []string }

// For runs interceptors only for the methods that match a pattern, or one of several:
//
//	hauberk.For("shop.v1.Cart/*", limit)
//	hauberk.For([]string{"shop.v1.Cart/*", "shop.v1.Orders/Place"}, limit)
//
// A pattern is one of
//
//   - "shop.v1.Cart/Get": one method;
//   - "shop.v1.Cart/*": the methods of a service;
//   - "shop.v1.*": the services of a package and of the packages below it;
//   - "*": all methods, unknown ones too.
//
// A leading slash is optional. Callers can send names of methods that are not well-formed:
// anything but identifiers of letters, digits, "_", "-" and "~", separated by dots, such
// as "shop.v1/../admin.v1.Users". Such a name matches only "*", and interceptors
// that decide ([Declaration.Decides]) run for it in spite of their patterns, as they can
// only reject its call.
//
// Groups can be nested; all of them must match. Patterns
// cost nothing at call time. [New] reports a bad pattern; [Chain.Coverage] and
// [Server.Serve] report a pattern that matches no method of the server.
func For[P Patterns](patterns P, interceptors ...Interceptor) Interceptor {
	return newScope("For", patternList(patterns), false, interceptors)
}

// Except runs interceptors for all methods that match none of the patterns; see [For].
func Except[P Patterns](patterns P, interceptors ...Interceptor) Interceptor {
	return newScope("Except", patternList(patterns), true, interceptors)
}

func patternList[P Patterns](patterns P) []string {
	if list, ok := any(patterns).([]string); ok {
		return list
	}
	one, _ := any(patterns).(string)
	return []string{one}
}

// When runs interceptors for the calls for which condition returns true. condition is
// called when a call reaches the first of them. The result is kept for the others and for
// further attempts of the call. Concurrent attempts may both call condition, so it must
// be safe for concurrent use.
//
// The order proof of [New] counts what these interceptors write only for interceptors
// under the same condition. [Chain.Coverage] does not count these interceptors.
func When(condition func(call *Call) bool, interceptors ...Interceptor) Interceptor {
	g := &group{name: "When", when: newCondition(condition), inner: interceptors}
	if condition == nil {
		g.err = errors.New("the condition of When is nil")
	}
	return g
}

func newScope(name string, texts []string, except bool, inner []Interceptor) Interceptor {
	parsed, err := parsePatterns(texts)
	if len(texts) == 0 {
		err = fmt.Errorf("%s has no patterns", name)
	}
	return &group{
		name:  fmt.Sprintf("%s(%s)", name, quoted(texts)),
		scope: scope{parsed, except},
		inner: inner,
		err:   err,
	}
}

// group is interceptors that New puts into the chain under a scope or condition.
type group struct {
	name  string
	scope scope
	when  *condition // nil if the group has a scope
	inner []Interceptor
	err   error
}

// Intercept reports a group that was run without a chain.
func (g *group) Intercept(context.Context, *Call, Next) error {
	return errInternal("%s works as an argument of hauberk.New, or of another group in it", g.name)
}

// scope says for which methods an interceptor runs.
type scope struct {
	patterns pattern.Set
	except   bool
}

// matches reports whether an interceptor under the scope runs for a method.
func (s scope) matches(m *Method) bool { return s.patterns.Matches(m.service, m.name) != s.except }

func (s scope) equal(other scope) bool {
	return s.except == other.except && slices.Equal(s.patterns, other.patterns)
}

// String writes the scope as in the source.
func (s scope) String() string {
	texts := make([]string, len(s.patterns))
	for i, p := range s.patterns {
		texts[i] = p.String()
	}
	return fmt.Sprintf("%s(%s)", s.verb(), quoted(texts))
}

// verb is the function that makes the scope.
func (s scope) verb() string {
	if s.except {
		return "Except"
	}
	return "For"
}

// condition is evaluated once a call; the interceptors under it share the result.
type condition struct {
	ask    func(*Call) bool
	answer Key[bool]
}

func newCondition(ask func(*Call) bool) *condition {
	return &condition{ask: ask, answer: NewKey[bool]("condition")}
}

func (c *condition) holds(call *Call) bool {
	yes, asked := c.answer.Get(call)
	if !asked {
		yes = c.answer.GetOrSet(call, c.ask(call))
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
