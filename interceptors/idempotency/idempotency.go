package idempotency

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

const (
	name    = "idempotency"
	setting = "idempotency.Config.Methods"
)

// The times between two looks at a key that runs.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 500 * time.Millisecond
)

// Interceptor sends keys on clients, and executes each key once on servers. Make it with [New]. It may be
// used by any number of chains at once, which share the keys.
type Interceptor struct {
	config  Config
	methods pattern.Set
	store   Store
	log     *slog.Logger
	counts  counts
	err     error

	outcomesLeft, keysLeft atomic.Int64 // see maxUnsettled
}

// counts are the counters of an interceptor.
type counts struct {
	executed, repeated, waited, released, failed, lost atomic.Uint64
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{store: NewMemory(MemoryConfig{}), log: slog.Default()}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	x.config = config.withDefaults(x.store)
	set, bad := config.methods()
	x.methods, x.err = set, errors.Join(x.config.check(), bad, x.err, nils)
	if s, ok := x.store.(interface{ Validate() error }); ok {
		x.err = errors.Join(x.err, s.Validate())
	}
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseCache, Err: x.err}
	if x.store == nil && x.err == nil {
		d.Err = errors.New("a zero Interceptor has no store; make one with idempotency.New")
	}
	d.Unmatched = func(methods []*hauberk.Method) []string {
		return pattern.IndexOf(methods).Unmatched(setting, x.methods)
	}
	d.Invalid = func(methods []*hauberk.Method) []string { return answerkey.Streams(setting, x.methods, methods) }
	return d
}

// Intercept gives a call on a client its key, and executes a call on a server, or answers it with the
// result of the first one.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !x.covers(call.Method()) {
		return next(ctx, call)
	}
	values := call.Metadata(ctx, Header)
	if call.Side() == hauberk.ClientSide {
		if len(values) == 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, Header, rand.Text())
		}
		return next(ctx, call)
	}
	switch {
	case len(values) == 0 && x.config.Required:
		return x.reject(call, &missing, nil)
	case len(values) == 0:
		return next(ctx, call)
	case len(values) > 1 || !x.valid(values[0]):
		return x.reject(call, &invalid, nil)
	}
	request, err := call.Read(ctx)
	if err != nil {
		return err
	}
	of, ok := answerkey.RequestOf(call.Method().FullName(), request)
	if !ok {
		return x.reject(call, &unsupported, nil)
	}
	text := answerkey.AppendText(nil, call.Method().FullName())
	text = answerkey.AppendText(answerkey.AppendCaller(ctx, call, text), values[0])
	return x.serve(ctx, call, next, &entry{
		key: sha256.Sum256(text), of: of, owner: rand.Text(), method: call.Method().FullName(),
	})
}

// valid reports whether a key can be used.
func (x *Interceptor) valid(key string) bool {
	return key != "" && len(key) <= x.config.MaxKeyBytes && metadatakey.LegalValue(Header, key)
}

// entry is a call that asks for its key.
type entry struct {
	key    Key
	of     Fingerprint
	owner  string    // a random token
	begun  time.Time // when the store was asked for the key
	method string    // for logs
}

// serve executes a call, or answers it with the outcome of its key.
func (x *Interceptor) serve(ctx context.Context, call *hauberk.Call, next hauberk.Next, e *entry) error {
	waited := false
	for look := firstLook; ; look = min(2*look, lastLook) {
		if err := ctx.Err(); err != nil {
			return status.FromContextError(err).Err()
		}
		r, err := x.storeBegin(ctx, e)
		switch {
		case err != nil && ctx.Err() == nil:
			return x.failed(ctx, call, next, err, waited)
		case err != nil:
			continue
		case r.Fingerprint != e.of:
			return x.reject(call, &reused, nil)
		case r.State == Owned:
			return x.execute(ctx, call, next, e)
		case r.State == Finished:
			return x.repeat(call, r.Outcome)
		case x.config.RejectRunning:
			return x.reject(call, &running, nil)
		}
		if !waited {
			waited = true
			x.counts.waited.Add(1)
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// failed treats a call as configured while the store fails. One that has waited for the first call is not executed.
func (x *Interceptor) failed(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, cause error, waited bool,
) error {
	x.counts.failed.Add(1)
	if x.config.FailOpen && !waited {
		return next(ctx, call)
	}
	return x.reject(call, &unavailable, cause)
}

// repeat answers a call with the outcome of the first one.
func (x *Interceptor) repeat(call *hauberk.Call, text []byte) error {
	o, err := decode(text, responseOf(call))
	if err != nil || o.kind == lost {
		return x.reject(call, &resultLost, err)
	}
	x.counts.repeated.Add(1)
	call.Decide(hauberk.Decision{Rule: "repeat", Verdict: hauberk.Allowed})
	_ = call.SetReplyMetadata(o.header, o.trailer) // an outer interceptor may have sent the header
	if err := o.err(); err != nil {
		return err
	}
	return call.Reply(o.message)
}
