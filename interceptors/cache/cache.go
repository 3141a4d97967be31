package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/engine/lru"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

const name = "cache"

type keySum = [32]byte

// Interceptor answers calls from memory. Make it with [New], and call [Interceptor.Close] when it is
// not needed anymore if [Config.StaleWhileRevalidate] is set. It may be used by any number of
// chains at once.
type Interceptor struct {
	config Config
	keys   *answerkey.Keys
	key    answerkey.Func
	now    func() time.Duration
	log    *slog.Logger
	store  *lru.Store[keySum, *answer]
	counts counts
	epoch  atomic.Uint64 // changes when answers are removed: those of calls that began before are not kept
	err    error

	mu        sync.Mutex
	closed    bool
	refreshes map[keySum]context.CancelFunc // that run
	running   sync.WaitGroup                // refreshes
}

// counts are the counters of an interceptor.
type counts struct {
	hits, stale, misses, bypassed, refreshed, failed atomic.Uint64
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{
		config: config.withDefaults(), now: clock.Elapsed(nil), log: slog.Default(),
		refreshes: map[keySum]context.CancelFunc{},
	}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	keys, bad := answerkey.New(answerkey.Config{
		Name: name, Methods: config.Methods, Metadata: config.Metadata, AcrossIdentities: config.AcrossIdentities,
	}, x.key)
	x.keys, x.err = keys, errors.Join(x.config.check(), config.unused(), bad, x.err, nils)
	x.store = lru.New[keySum, *answer](lru.Config{MaxEntries: x.config.MaxEntries, MaxBytes: x.config.MaxBytes})
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseCache, Err: x.err}
	if x.store == nil {
		d.Err = errors.New("a zero Interceptor keeps nothing; make one with cache.New")
		return d
	}
	d.Unmatched, d.Invalid = x.keys.Unmatched, x.keys.Invalid
	return d
}

// Intercept answers the call from memory, or makes it and keeps its answer.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !x.keys.Covers(call.Method()) {
		return next(ctx, call)
	}
	key, ok, err := x.keys.Of(ctx, call)
	if err != nil {
		return err
	}
	var asked directives
	if !x.config.IgnoreRequests {
		asked = parse(call.Metadata(ctx, header))
	}
	if !ok || asked.noStore {
		x.counts.bypassed.Add(1)
		if asked.onlyIfCached {
			return x.notCached(call)
		}
		return next(ctx, call)
	}
	if !asked.noCache {
		if a, fresh := x.find(key, asked); a != nil {
			return x.reply(ctx, call, next, key, a, fresh)
		}
	}
	x.counts.misses.Add(1)
	if asked.onlyIfCached {
		return x.notCached(call)
	}
	return x.fetch(ctx, call, next, key)
}

// find returns the answer for a key, if it may be used, and whether it is fresh.
func (x *Interceptor) find(key answerkey.Key, asked directives) (a *answer, fresh bool) {
	a, ok := x.store.Get(key.Whole)
	if !ok {
		return nil, false
	}
	age := a.age(x.now())
	if asked.hasMaxAge && age > asked.maxAge {
		return nil, false
	}
	switch {
	case age < a.lifetime:
		return a, true
	case asked.hasMaxAge:
		return nil, false
	case !a.mustRevalidate && age < a.lifetime+x.config.StaleWhileRevalidate && !x.isClosed():
		return a, false
	default:
		x.store.Remove(key.Whole, func(now *answer) bool { return now == a })
		return nil, false
	}
}

// reply answers a call from memory.
func (x *Interceptor) reply(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, key answerkey.Key, a *answer, fresh bool,
) error {
	rule := "hit"
	if fresh {
		x.counts.hits.Add(1)
	} else {
		rule = "stale"
		x.counts.stale.Add(1)
		x.refresh(ctx, call, next, key)
	}
	call.Decide(hauberk.Decision{Rule: rule, Verdict: hauberk.Allowed})
	_ = call.SetReplyMetadata(a.headerAt(x.now()), a.trailer) // an outer interceptor may have sent the header
	return call.Reply(a.message)
}

// fetch makes a call and keeps its answer.
func (x *Interceptor) fetch(
	ctx context.Context, call *hauberk.Call, next hauberk.Next, key answerkey.Key,
) error {
	epoch := x.epoch.Load()
	if call.Side() == hauberk.ClientSide {
		call.CaptureMetadata()
		err := next(ctx, call)
		if err == nil {
			x.keep(key, call, epoch, false)
		}
		return err
	}
	_, known := hauberk.IdentityKey.Get(call)
	inside, copied, err := call.Detach(ctx)
	if err != nil {
		return err
	}
	err = next(inside, copied)
	call.Adopt(copied)
	if err == nil {
		x.keep(key, copied, epoch, known)
	}
	return err
}

// keep stores the answer of a call that began in an epoch, if it may be kept. known means that the
// identity of its caller was known before.
func (x *Interceptor) keep(key answerkey.Key, call *hauberk.Call, epoch uint64, known bool) {
	a := x.answerOf(key, call)
	id, _ := hauberk.IdentityKey.Get(call)
	if call.Side() == hauberk.ServerSide && id != nil && !known {
		a = nil // an inner interceptor authenticates: the next caller may not be admitted
	}
	if a == nil || x.epoch.Load() != epoch {
		x.store.Remove(key.Whole, func(*answer) bool { return true })
		return
	}
	x.store.Put(key.Whole, a, a.size)
	if x.epoch.Load() != epoch { // an Invalidate did not find it
		x.store.Remove(key.Whole, func(now *answer) bool { return now == a })
	}
}

// Invalidate removes the answers to a request of a method, such as "/shop.v1.Cart/Get", of all
// identities and metadata, and returns how many there were. It looks at all answers.
func (x *Interceptor) Invalidate(method string, request proto.Message) int {
	of, ok := answerkey.RequestOf(method, request)
	if !ok {
		return 0
	}
	return x.remove(func(a *answer) bool { return a.request == of })
}

// Purge removes the answers of a method, such as "/shop.v1.Cart/Get", or of all methods for "", and
// returns how many there were. It looks at all answers.
func (x *Interceptor) Purge(method string) int {
	return x.remove(func(a *answer) bool { return method == "" || a.method == method })
}

func (x *Interceptor) remove(is func(a *answer) bool) int {
	x.epoch.Add(1)
	return x.store.RemoveAll(is)
}
