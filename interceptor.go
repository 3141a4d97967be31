package hauberk

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Interceptor runs around one call, of any kind and on either side.
//
// Intercept must be safe for concurrent use by different calls. It calls next once, not
// at all, or on a client several times (see [Next]). If it does not call next, it answers
// the call itself: an error becomes the status of the call, and [Call.Reply] followed by
// a nil return becomes its response.
type Interceptor interface {
	Intercept(ctx context.Context, call *Call, next Next) error
}

// Next runs the inner interceptors and the call itself. It returns when the call has
// ended, with its outcome: nil for OK, else an error from which [StatusOf] returns the
// status. ctx passes the deadline and the metadata on to the inner interceptors. call is
// the interceptor's own call, or on a client a copy made by [Call.Attempt].
//
// On a server a second call of next returns an INTERNAL error. On a client it is a new
// attempt. Next returns the previous outcome again, at once, if no new attempt can be
// made:
//
//   - the application has received a response message, the response header or the
//     context of the stream;
//   - the call streams requests, and they were not kept with [Call.Replayable];
//   - the previous outcome is a rejection made in this process.
//
// next must be called on the goroutine of Intercept, or with copies on goroutines that end
// before Intercept returns. Later calls return an INTERNAL error.
type Next func(ctx context.Context, call *Call) error

// Func is a function that implements [Interceptor].
type Func func(ctx context.Context, call *Call, next Next) error

// Intercept calls f.
func (f Func) Intercept(ctx context.Context, call *Call, next Next) error {
	return f(ctx, call, next)
}

// Declarer is implemented by interceptors that describe themselves to [New],
// [Chain.Lint], [Chain.Explain] and [Chain.Coverage]. Declare is called while a chain is
// built, never for a call.
type Declarer interface {
	Declare() Declaration
}

// Declaration describes an interceptor to the checks of a chain. The zero value describes
// one that runs anywhere. [Declare] adds one to an interceptor that has none.
type Declaration struct {
	// Name is the interceptor's name in decisions, explanations and errors. The default
	// is the name of its package, or of its type.
	Name string
	// Detail distinguishes the interceptor from others with its name in explanations, coverage
	// and findings: a limiter by user is "ratelimit(user)". Decisions and metrics have the name
	// alone. [Named] replaces both.
	Detail string
	// Phase is the interceptor's usual place in a chain, for [Chain.Lint].
	Phase Phase
	// Sides are the sides that the interceptor works on. A chain with an interceptor for
	// one side cannot be attached to the other.
	Sides Sides
	// Reads is the state that an outer interceptor must write.
	Reads []StateKey
	// Writes is the state that the interceptor writes before it calls next.
	Writes []StateKey
	// Decides is set if the interceptor only admits or rejects calls. It can then be
	// put in [Shadow].
	Decides bool
	// Repeatable is set if one instance may run several times for a call, such as
	// outside and inside a retry. New reports others that would.
	Repeatable bool
	// Authenticates is set if a call that passes the interceptor has an identity, or is
	// to a method of [Config.Public].
	Authenticates bool
	// Abstains is set by an interceptor that lets all calls of some methods pass, such as those of
	// public methods ([Method.Public]). It reports whether it does so for a method. [Chain.Explain] and
	// [Chain.Coverage] then do not list it as one that runs.
	Abstains func(method *Method) bool
	// Authorizes is set by an interceptor that rejects calls by rules about methods. It
	// reports whether a rule can admit calls of a method, for [Chain.Coverage].
	Authorizes func(method *Method) bool
	// EnforcesPolicy is set by an interceptor that admits only callers with the roles and scopes
	// of a [DescriptorPolicy]. It reports whether it enforces those of a method, or the
	// application has replaced them with its own rules. See [Config.Policy].
	EnforcesPolicy func(policy *MethodPolicy) bool
	// Unmatched returns which patterns in the interceptor's settings match none of the methods
	// of a server, each with the setting: `validate.Config.Except("shop.v1.Crat/Get")`. It is
	// set by an interceptor whose settings name methods. [Chain.Coverage] calls it.
	Unmatched func(methods []*Method) []string
	// Invalid returns what is wrong with the interceptor's settings for methods of a server that it
	// runs for, each with the setting and the method, such as the path of a field that the request
	// does not have. [Chain.Coverage] calls it.
	Invalid func(methods []*Method) []string
	// Settings returns the interceptor's settings for a method, such as "shop.v1.Cart/Get", and
	// where each was set, for [Chain.Explain]. nil means that it lists none.
	Settings func(method string) []Setting
	// Warning is what operators must know before a chain with the interceptor serves, such as that
	// it injects faults. [Chain.Lint] and [Chain.Explain] return it. The package log/slog logs it, as
	// a warning, when the chain is first attached to a server or a client.
	Warning string
	// Err is what is wrong with the interceptor's configuration; New reports it.
	Err error
}

// Sides are the sides that an interceptor works on.
type Sides uint8

// The values of Sides.
const (
	BothSides   Sides = iota
	OnlyServers       // such as authorization
	OnlyClients       // such as retries
)

func (s Sides) include(side Side) bool {
	return s == BothSides || (s == OnlyClients) == (side == ClientSide)
}

// meet reports whether there is a side that both include.
func (s Sides) meet(other Sides) bool {
	return s == BothSides || other == BothSides || s == other
}

// Declare returns an interceptor with a declaration: for a [Func], or for what [FromServer]
// and [FromClient] return. Fields of d that are set replace those that x declares itself.
// Name, Err and Sides of x stay if d has none.
//
//	hauberk.Declare(hauberk.Func(authenticate), hauberk.Declaration{
//		Name: "token", Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyServers,
//		Writes: []hauberk.StateKey{User}, Authenticates: true,
//	})
func Declare(x Interceptor, d Declaration) Interceptor {
	return &declaring{Interceptor: x, declaration: d}
}

type declaring struct {
	Interceptor

	declaration Declaration
}

// merged returns what the interceptor declares itself, changed by the fields of d that
// are set.
func (d Declaration) merged(own Declaration) Declaration {
	if d.Name != "" {
		own.Name, own.Detail = d.Name, ""
	}
	own.Detail = cmp.Or(d.Detail, own.Detail)
	own.Phase = cmp.Or(d.Phase, own.Phase)
	own.Sides = cmp.Or(d.Sides, own.Sides)
	own.Reads = slices.Concat(own.Reads, d.Reads)
	own.Writes = slices.Concat(own.Writes, d.Writes)
	own.Decides = own.Decides || d.Decides
	own.Repeatable = own.Repeatable || d.Repeatable
	own.Authenticates = own.Authenticates || d.Authenticates
	if d.Authorizes != nil {
		own.Authorizes = d.Authorizes
	}
	if d.Abstains != nil {
		own.Abstains = d.Abstains
	}
	if d.EnforcesPolicy != nil {
		own.EnforcesPolicy = d.EnforcesPolicy
	}
	if d.Unmatched != nil {
		own.Unmatched = d.Unmatched
	}
	if d.Invalid != nil {
		own.Invalid = d.Invalid
	}
	if d.Settings != nil {
		own.Settings = d.Settings
	}
	own.Warning = cmp.Or(d.Warning, own.Warning)
	own.Err = errors.Join(own.Err, d.Err)
	return own
}

// Guard is implemented by an interceptor that turns panics into errors. If a chain has
// one, every interceptor, hook and handler is guarded where it runs, including
// interceptors outside the guard. A panic then reaches the next outer interceptor as an
// ordinary error. Without a guard a panic passes through the chain.
//
// Recovered receives the value of the panic, or [ErrGoexit], and the stack of the
// goroutine. It returns the error that replaces the panic.
type Guard interface {
	Recovered(ctx context.Context, call *Call, value any, stack []byte) error
}

// Named sets the name of an interceptor in decisions, explanations and errors.
func Named(name string, x Interceptor) Interceptor {
	return &named{Interceptor: x, name: name}
}

type named struct {
	Interceptor

	name string
}
