package recovery

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// DefaultMessage is the text that ends a call that panicked.
const DefaultMessage = "internal error"

// Config says how calls that panicked end. The zero value is ready for use.
type Config struct {
	// Message is the text of the INTERNAL status, the same for every panic. The
	// default is DefaultMessage.
	Message string
	// LogValues logs what panics say of themselves. It may be anything that the
	// program had at hand, so that otherwise only the type is logged, with the text of
	// the runtime's own panics ("index out of range …").
	LogValues bool
}

// Interceptor guards a chain against panics. Make it with [New]. It may be used by
// any number of chains at once, of servers and of clients.
type Interceptor struct {
	status    *status.Status
	logger    *slog.Logger // nil for slog's default
	logValues bool
	handle    Handler
	states    []state
	attrs     []AttrsFunc
	panics    atomic.Int64
	err       error
}

// Handler is told of a panic: the value, or [hauberk.ErrGoexit], and the stack of
// its goroutine. It runs on that goroutine and must be safe for concurrent use; a
// panic of its own is logged.
type Handler func(ctx context.Context, call *hauberk.Call, value any, stack []byte)

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, opts ...Option) *Interceptor {
	if config.Message == "" {
		config.Message = DefaultMessage
	}
	x := &Interceptor{status: status.New(codes.Internal, config.Message), logValues: config.LogValues}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.err = errors.Join(x.err, nils)
	return x
}

// Panics returns how many panics there have been so far. Safe for concurrent use.
func (x *Interceptor) Panics() int64 { return x.panics.Load() }

// Declare tells chains of the usual place, and what is wrong with the
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := x.err
	if x.status == nil {
		err = errors.New("a zero Interceptor; make it with recovery.New")
	}
	return hauberk.Declaration{Name: "recovery", Phase: hauberk.PhaseRecovery, Err: err}
}

// Intercept goes on: the chain guards each of its steps by itself, and tells
// Recovered.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

// Recovered counts and logs a panic, and returns the [PanicError] that takes its
// place.
func (x *Interceptor) Recovered(ctx context.Context, call *hauberk.Call, value any, stack []byte) error {
	e := &PanicError{Value: value, Stack: stack, status: x.status}
	x.panics.Add(1)
	x.tell(ctx, call, e)
	return e
}
