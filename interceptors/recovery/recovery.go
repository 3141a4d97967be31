package recovery

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callstate"
	"github.com/hauberk-rpc/hauberk/internal/lognames"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor guards a chain against panics. Make it with [New]. It may be part of any
// number of chains at once, of servers and of clients.
type Interceptor struct {
	status    *status.Status
	names     Names        // complete; an attribute without a name is left out
	logger    *slog.Logger // nil for slog's default
	logValues bool
	handle    Handler
	states    callstate.List[hauberk.Key[string]]
	attrs     []AttrsFunc
	panics    atomic.Int64
	err       error
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	if config.Message == "" {
		config.Message = DefaultMessage
	}
	x := &Interceptor{
		status: status.New(codes.Internal, config.Message), names: config.Names, logValues: config.LogValues,
	}
	lognames.Fill(&x.names, OpenTelemetryNames())
	for _, field := range lognames.Twice(x.names) {
		x.failf("Config.Names.%s is the name of another attribute as well; want a different name, or \"-\"", field)
	}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.err, nils)
	return x
}

// Panics returns how many panics have occurred so far. Safe for concurrent use.
func (x *Interceptor) Panics() int64 { return x.panics.Load() }

// Declare returns the name and the phase of the interceptor, and the errors of its
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.status == nil {
		err = errors.New("a zero Interceptor; make it with recovery.New")
	}
	return hauberk.Declaration{Name: "recovery", Phase: hauberk.PhaseRecovery, Err: err}
}

// Intercept calls next. The chain guards each of its steps itself and calls Recovered.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

// Recovered counts and logs a panic, and returns a [PanicError] as the outcome of the
// call.
func (x *Interceptor) Recovered(ctx context.Context, call *hauberk.Call, value any, stack []byte) error {
	e := &PanicError{Value: value, Stack: stack, status: x.status}
	x.panics.Add(1)
	x.report(ctx, call, e)
	return e
}
