package report

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callstate"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Incident is a call that failed. The function that gets it may keep it, and must not modify what it
// refers to.
type Incident struct {
	// Time is the end of the call, and Took its duration.
	Time time.Time
	Took time.Duration
	// Side, Kind and Method are those of the call. Method is "package.Service/Method", or "unknown" if
	// the server does not have it.
	Side   hauberk.Side
	Kind   hauberk.Kind
	Method string
	// Code is the code of the call, and Reason that of its rejection, or "".
	Code   codes.Code
	Reason string
	// Err is the outcome of the call, with its causes, which clients do not receive. Its text is that of the
	// status: for the texts of causes, such as of errors that package errs masks, use errors.Unwrap. The error
	// of a panic without recovery is hauberk.ErrUnwound.
	Err error
	// Panic reports whether the call panicked. Stack is the stack of its goroutine, and PanicAt the
	// first place in the program's own code, if they are known.
	Panic   bool
	PanicAt string
	Stack   []byte
	// User is the identity of the caller, on servers with authentication; nil if there is none.
	User *hauberk.Identity
	// Decisions are the verdicts on the call.
	Decisions []hauberk.Decision
	// Attrs are those of State and WithAttrs.
	Attrs []slog.Attr
	// Suppressed is the number of incidents like this one since the last that was reported.
	Suppressed uint64
}

// Panicked is an error of a call that panicked. That of package recovery is one.
type Panicked interface {
	error

	// PanicStack returns the stack of the goroutine, or nil.
	PanicStack() []byte
	// PanicAt returns the first place in the program's own code, or "".
	PanicAt() string
}

// Interceptor reports failures of calls. Make it with [New]. It may be used by any number of chains at
// once.
type Interceptor struct {
	config     Config
	report     func(ctx context.Context, i Incident)
	ignore     []ignored
	ignoreFunc func(Incident) bool
	states     callstate.List[hauberk.Key[string]]
	attrs      []AttrsFunc
	now        func() time.Time
	limit      *limit
	err        error
}

// New returns an interceptor for both sides that gives incidents to report. hauberk.New reports what is
// wrong with its configuration.
func New(config Config, report func(ctx context.Context, i Incident), opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults(), report: report, now: time.Now}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	ignore, bad := config.ignored()
	x.ignore, x.err = ignore, errors.Join(x.config.check(), bad, x.err, nils)
	if report == nil {
		x.failf("New was given a nil function")
	}
	if x.err == nil {
		x.limit, x.err = newLimit(x.config)
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: "report", Phase: hauberk.PhaseLogging, Unmatched: x.unmatched, Repeatable: true, Err: x.err,
	}
	if x.limit == nil && d.Err == nil {
		d.Err = errors.New("a zero report.Interceptor; make it with report.New")
	}
	return d
}

// Intercept reports the call if it fails.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	began := x.now()
	return hauberk.Observe(ctx, call, next, func(err error) {
		if err != nil {
			x.failed(ctx, call, err, began)
		}
	})
}

// failed reports a call that failed, unless the settings leave it out.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (x *Interceptor) failed(ctx context.Context, call *hauberk.Call, err error, began time.Time) {
	i := Incident{Code: hauberk.CodeOf(err), Reason: hauberk.Reason(err), Err: err}
	if panicked, ok := errors.AsType[Panicked](err); ok {
		i.Panic, i.Stack, i.PanicAt = true, panicked.PanicStack(), panicked.PanicAt()
	} else if errors.Is(err, hauberk.ErrUnwound) {
		i.Panic, i.Stack = true, debug.Stack()
	}
	if !i.Panic && (!slices.Contains(x.config.Codes, i.Code) || x.ignores(call.Method(), &i)) {
		return
	}
	i.Time = x.now()
	i.Took = i.Time.Sub(began)
	x.describe(ctx, call, &i)
	if x.ignoreFunc != nil && x.contain(func() bool { return x.ignoreFunc(i) }) {
		return
	}
	suppressed, ok := x.limit.admit(&i)
	if !ok {
		return
	}
	i.Suppressed = suppressed
	x.contain(func() bool {
		x.report(ctx, i)
		return true
	})
}

func (x *Interceptor) ignores(m *hauberk.Method, i *Incident) bool {
	return slices.ContainsFunc(x.ignore, func(g ignored) bool { return g.has(m, i.Code, i.Reason) })
}

// describe adds what is known about the call.
func (x *Interceptor) describe(ctx context.Context, call *hauberk.Call, i *Incident) {
	i.Side, i.Kind, i.Method = call.Side(), call.Kind(), strings.TrimPrefix(call.Method().FullName(), "/")
	if call.Side() == hauberk.ServerSide && !call.Method().Known() {
		i.Method = "unknown"
	}
	i.User, _ = hauberk.IdentityKey.Get(call)
	i.Decisions = call.Decisions().All()
	for _, s := range x.states {
		if text, ok := s.Of.Get(call); ok {
			i.Attrs = append(i.Attrs, slog.String(s.Name, text))
		}
	}
	for _, f := range x.attrs {
		x.contain(func() bool {
			i.Attrs = append(i.Attrs, f(ctx, call, nil)...)
			return true
		})
	}
}

// contain returns the result of f, or false if it panics.
func (x *Interceptor) contain(f func() bool) bool {
	defer func() {
		if recover() != nil {
			x.limit.panics.Add(1)
		}
	}()
	return f()
}
