package logging

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Config says what is logged. The zero value logs the end of every call.
type Config struct {
	// Start adds a record when a call starts, at the level of calls that end as OK.
	Start bool
	// Levels are the levels of calls by code, on both sides, in place of those of
	// DefaultLevel. Codes that are not named keep theirs.
	Levels map[codes.Code]slog.Level
	// ClientErrors adds the text of errors to the records of a client, where it
	// comes from the server. A server's records have it always.
	ClientErrors bool
	// ClientPeer adds the server's address to the records of a client. To keep it
	// costs a call up to six allocations.
	ClientPeer bool
}

// Interceptor logs calls. Make it with [New]. It may be used by any number of
// chains at once, of servers and of clients.
type Interceptor struct {
	config Config
	logger *slog.Logger // nil for slog's default
	now    func() time.Time
	since  func(t time.Time) time.Duration // cheaper than now: it reads one clock, not two
	level  func(call *hauberk.Call, code codes.Code) slog.Level
	states []state
	peers  peers
	plain  bound // for records whose code differs from call to call, or is not known
	good   bound // for those of calls that ended as OK
	errs   []error
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, options ...Option) *Interceptor {
	x := &Interceptor{
		config: config, now: time.Now, since: time.Since, level: levelBySide,
		peers: peers{seed: maphash.MakeSeed()},
		good:  bound{common: []slog.Attr{slog.String(KeyCode, codes.OK.String())}},
	}
	for code := range config.Levels {
		if code > codes.Unauthenticated {
			x.failf("Config.Levels names %s; want one of gRPC's codes, 0 to 16", code)
		}
	}
	for _, o := range options {
		o.apply(x)
	}
	return x
}

func (x *Interceptor) failf(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

// Declare tells chains of the usual place, and what is wrong with the
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := errors.Join(x.errs...)
	if x.now == nil && err == nil {
		err = errors.New("a zero Interceptor; make it with logging.New")
	}
	return hauberk.Declaration{Name: "logging", Phase: hauberk.PhaseLogging, Err: err}
}

// errUnwound is the outcome of a call whose chain is unwound by a panic that no
// link of it recovers, or by runtime.Goexit.
var errUnwound error = unwoundError{}

// Intercept logs the call when it has ended, also when a panic unwinds it, which
// it lets pass.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	began := x.begin(ctx, call)
	err := errUnwound
	defer func() { x.end(ctx, call, began, err) }()
	err = next(ctx, call)
	return err
}
