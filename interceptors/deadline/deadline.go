package deadline

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor gives calls deadlines. Make it with [New]. It is safe for concurrent use by any number
// of chains, of servers and of clients.
type Interceptor struct {
	config  Config
	levels  []level          // the most specific first; the last one is that of all methods
	stated  map[string]level // by a policy, by the name of the method
	now     func() time.Duration
	only    bool // it only decides: no setting acts on calls
	uniform bool // all methods but health watches have the same settings, those of general
	general *limits
	methods methodtable.Cache[*hauberk.Method, *limits]
	usual   methodtable.Names[*typical]
	counts  counts
	err     error
}

// limits are the settings of a method, as calls use them.
type limits struct {
	values

	typical  *typical      // nil without TypicalQuantile
	interval time.Duration // of the timer that looks for messages; 0 for none
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config, now: clock.Elapsed(nil)}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	levels, bad := config.levels()
	x.levels = levels
	if x.err = errors.Join(config.check(), bad, nils); x.err != nil {
		return x
	}
	lowest := &levels[len(levels)-1]
	if len(config.Rules) == 0 && len(x.stated) == 0 && lowest.values == (values{}) && !config.EndEarly {
		x.err = errors.New("nothing is set; want a time, such as Default or Max, of Config or of a rule")
		return x
	}
	x.err = x.checkLevels()
	x.only = !config.EndEarly && len(x.stated) == 0
	for i := range levels {
		x.only = x.only && levels[i].onlyDecides()
	}
	x.uniform = len(config.Rules) == 0 && len(x.stated) == 0 && lowest.quantile == 0
	x.general = &limits{values: lowest.values}
	x.general.interval = x.general.looks()
	return x
}

// onlyDecides reports whether no setting acts on calls other than by rejecting them at their start.
func (v *values) onlyDecides() bool {
	for i, d := range v.times {
		if setting(i) != minTimeLeft && d > 0 {
			return false
		}
	}
	return true
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.general == nil && err == nil {
		err = errors.New("a zero deadline.Interceptor; make it with deadline.New")
	}
	return hauberk.Declaration{
		Name: "deadline", Phase: hauberk.PhaseDeadline, Decides: x.only, Err: err,
		Settings: x.settings, Unmatched: x.unmatched,
	}
}

// none is the time left of a call without a deadline, and more than that of any other.
const none time.Duration = math.MaxInt64

// Intercept sets the deadline of a call, or rejects it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	l := x.general
	if m := call.Method(); !x.uniform || m.FullName() == "/"+watchMethod {
		l = x.limitsOf(m)
	}
	left := none
	if deadline, ok := ctx.Deadline(); ok {
		left = min(time.Until(deadline), none-1) // of a deadline in a thousand years it is none
		if left <= l.times[minTimeLeft] || l.typical != nil && left < l.typical.usual(x.now()) {
			return x.tooShort(ctx, call, next, l, left)
		}
	} else if x.only {
		call.Abstain()
	}
	inner, end := x.plan(l, call.Side(), left)
	if inner == left && end == none && l.interval == 0 {
		if l.typical == nil {
			return next(ctx, call)
		}
		return l.typical.measure(ctx, call, next, x.now)
	}
	return x.bound(ctx, call, next, plan{limits: l, left: left, inner: inner, end: end})
}

// limitsOf returns the settings of a method. The names of unknown methods come from callers and are
// not kept.
func (x *Interceptor) limitsOf(m *hauberk.Method) *limits {
	if l, ok := x.methods.Get(m); ok {
		return l
	}
	r := x.resolve(m.Service(), m.Name())
	l := &limits{values: r.values}
	l.interval = l.looks()
	if !m.Known() {
		return l
	}
	if l.quantile > 0 {
		l.typical, _ = x.usual.Add(m.FullName(), maxMeasured, func(string) *typical {
			return newTypical(l.quantile, cmp.Or(x.config.TypicalWindow, DefaultTypicalWindow))
		})
	}
	return x.methods.Keep(m, l)
}

// plan returns in how much time the context of what is inside ends, and in how much a server ends the call
// for its caller; none for never. left is until the caller's deadline.
func (x *Interceptor) plan(l *limits, side hauberk.Side, left time.Duration) (inner, end time.Duration) {
	total, end := left, none
	if d := l.times[defaultTime]; left == none && d > 0 {
		total = d
	}
	if d := l.times[maxTime]; d > 0 {
		total = min(total, d)
	}
	if total == none {
		return none, none
	}
	if side == hauberk.ServerSide {
		switch {
		case total < left:
			end = total
		case x.config.EndEarly:
			end = total - early(total)
		}
	}
	inner = min(total-min(l.times[margin], total/2), end)
	return inner, end
}

// early is by how much a server ends a call before its caller's deadline. Envoy has
// grpc_timeout_header_offset for it.
func early(left time.Duration) time.Duration { return min(left/10, maxEarly) }

const maxEarly = 10 * time.Millisecond
