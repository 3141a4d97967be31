package authz

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// ErrDenied is found by errors.Is in rejections, in this process.
var ErrDenied = errors.New("authz: the policy does not allow the call")

// ReasonDenied is the reason of rejections ([hauberk.Reason]), on both sides.
const ReasonDenied = "ACCESS_DENIED"

// NoRule is the rule in the decision on a call that no rule of [Policy.Allow] matches.
const NoRule = "no rule allows the call"

const (
	name    = "authz"
	message = "Permission denied"
)

// errDenied is the outcome of rejected calls: clients cannot distinguish rules. Only the cause of
// others differs; see denial.
var errDenied = &hauberk.Rejection{
	Code: codes.PermissionDenied, Reason: ReasonDenied, Message: message, Cause: ErrDenied,
}

// Interceptor authorizes calls on a server. Make it with [New]. It may be used by any number
// of chains at once.
type Interceptor struct {
	config Config
	now    func() time.Time
	allow  index
	deny   index
	lists  methodtable.Cache[*hauberk.Method, *list]
	stated []statedRule // of WithPolicy
	reads  []hauberk.StateKey
	made   bool
	err    error
}

// New returns an interceptor for servers. hauberk.New reports what is wrong with its
// configuration: rules that do not compile, do not return a bool, can cost too much or name
// something that does not exist.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), now: time.Now, made: true}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.config.check(len(x.stated)), x.err, nils)
	if x.err == nil {
		c := compiler{maxCost: x.config.MaxCost}
		x.deny = c.compile("Deny", x.config.Policy.Deny)
		x.allow = c.compile("Allow", x.config.Policy.Allow)
		c.addStated(&x.allow, x.stated)
		x.err = c.failure()
		if c.identity {
			x.reads = []hauberk.StateKey{hauberk.IdentityKey}
		}
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: name, Phase: hauberk.PhaseAuthz, Sides: hauberk.OnlyServers,
		Reads: x.reads, Decides: true, Authorizes: x.authorizes, Err: x.err,
		Abstains: (*hauberk.Method).Public,
	}
	if x.err == nil {
		d.Unmatched, d.Invalid = x.unmatched, x.idle
	}
	if x.stated != nil {
		d.Settings, d.EnforcesPolicy = x.settings, x.enforces
	}
	if !x.made {
		d.Err = errors.New("a zero Interceptor has no policy; make one with authz.New")
	}
	return d
}

// authorizes reports whether a rule of Allow names a method.
func (x *Interceptor) authorizes(m *hauberk.Method) bool { return len(x.allow.rules(m)) > 0 }

// Intercept admits the call if the policy allows it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Public() {
		call.Abstain()
		return next(ctx, call)
	}
	by, err := x.decide(ctx, call)
	switch {
	case err != nil && by == "": // the request could not be read
		return err
	case err != nil:
		call.Decide(hauberk.Decision{Rule: by, Verdict: hauberk.Rejected, Reason: ReasonDenied})
		return err
	case x.config.RecordAllowed:
		call.Decide(hauberk.Decision{Rule: by, Verdict: hauberk.Allowed})
	}
	return next(ctx, call)
}

// decide returns nil if the policy allows a call, and the name of the rule that says so, or NoRule.
// The name is empty if the error is why the request could not be read.
//
// Rules that need the request come last, so that a call which the others reject, or admit
// with certainty, is decided on its headers.
func (x *Interceptor) decide(ctx context.Context, call *hauberk.Call) (by string, err error) {
	f := facts{ctx: ctx, call: call, now: x.now}
	rules := x.listOf(call.Method())
	if r, matches := f.denying(rules.deny); r != nil {
		return r.name, f.deniedBy(r, matches)
	}
	admits := f.allowing(rules.allow)
	if admits == nil && len(rules.allowRequest) == 0 {
		return NoRule, f.notAllowed()
	}
	r, matches := f.denying(rules.denyRequest)
	if r == nil && admits == nil {
		admits = f.allowing(rules.allowRequest)
	}
	switch {
	case f.readErr != nil:
		return "", f.readErr
	case r != nil:
		return r.name, f.deniedBy(r, matches)
	case admits == nil:
		return NoRule, f.notAllowed()
	default:
		return admits.name, nil
	}
}

// listOf returns the rules that name a method. The lists of methods that the server does not
// have are not kept: callers can invent any number of their names.
func (x *Interceptor) listOf(m *hauberk.Method) *list {
	if !m.Known() {
		return newList(x.deny.rules(m), x.allow.rules(m))
	}
	if l, ok := x.lists.Get(m); ok {
		return l
	}
	return x.lists.Keep(m, newList(x.deny.rules(m), x.allow.rules(m)))
}
