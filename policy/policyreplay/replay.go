package policyreplay

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/internal/offline"
)

// Verdict is what becomes of a call before its handler.
type Verdict struct {
	Admitted bool
	// Code and Reason are those of the rejection.
	Code   codes.Code
	Reason string
	// By and Rule are the interceptor that rejected the call, and its rule, or "".
	By, Rule string
}

// String returns the verdict: "admitted", or "rejected PERMISSION_DENIED ACCESS_DENIED".
func (v Verdict) String() string {
	switch {
	case v.Admitted:
		return "admitted"
	case v.Reason == "":
		return "rejected " + codename.Of(v.Code)
	default:
		return "rejected " + codename.Of(v.Code) + " " + v.Reason
	}
}

// same reports whether callers see no difference.
func (v Verdict) same(as Verdict) bool {
	return v.Admitted == as.Admitted && v.Code == as.Code && v.Reason == as.Reason
}

// Difference is a call whose verdict differs, or that cannot be decided.
type Difference struct {
	*Record

	// Before is the recorded verdict, and After that of the policy.
	Before, After Verdict
	// Undecided is why the policy does not decide the call: `no claim "plan" (line 12: authz)`. It is "" if it does.
	Undecided string
}

// Report is the outcome of a replay.
type Report struct {
	// Calls is the number of calls. Differ are those with another verdict, and Undecided those that cannot be decided.
	Calls, Differ, Undecided int
	// Differences are both, in the order in which the calls began.
	Differences []Difference
	// NotReplayed are the entries that admit all calls in a replay: "line 20: concurrency".
	NotReplayed []string
}

// Run decides the calls of a log. load loads the policy with options in addition to its own. The error is that of load.
func Run(log *Log, load func(opts ...policy.Option) (*policy.Policy, error)) (*Report, error) {
	r := &replayer{uncertain: make(map[int]time.Time)}
	if len(log.Records) > 0 {
		r.now = log.Records[0].Start // interceptors measure times from their beginning
	}
	p, err := load(policy.WithTestAround(r.around), policy.WithClock(r.clock), policy.CheckOnly())
	if err != nil {
		return nil, err
	}
	defer p.Close()
	report := &Report{Calls: len(log.Records)}
	for i := range r.entries {
		e := r.entries[i]
		if _, ok := needsOf(e, ""); !ok && e.Mode == policy.Enforce {
			report.NotReplayed = append(report.NotReplayed, place(e))
		}
	}
	for i := range log.Records {
		d := r.decide(p, &log.Records[i])
		switch {
		case d.Undecided != "":
			report.Undecided++
		case !d.Before.same(d.After):
			report.Differ++
		default:
			continue
		}
		report.Differences = append(report.Differences, d)
	}
	return report, nil
}

func place(e *policy.Entry) string { return fmt.Sprintf("line %d: %s", e.Line, e.Use) }

// replayer makes the calls. One goroutine uses it, except for the clock.
type replayer struct {
	entries   []*policy.Entry   // of the server that are not off
	uncertain map[int]time.Time // until when a limit has counted an undecided call, by its place in entries

	record    *Record // that is decided
	call      *hauberk.Call
	undecided string
	at        int // the place in entries of the one that cannot decide the call

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (r *replayer) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *replayer) setClock(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = at
}

// errUndecided ends a call that cannot be decided.
var errUndecided = status.Error(codes.Unknown, "the call cannot be decided")

// around returns what runs in place of an entry.
func (r *replayer) around(e *policy.Entry) policy.Around {
	kept := *e
	e = &kept
	at := len(r.entries)
	r.entries = append(r.entries, e)
	return func(ctx context.Context, call *hauberk.Call, next hauberk.Next, entry hauberk.Interceptor) error {
		r.call = call
		if e.Mode == policy.Shadow {
			return next(ctx, call)
		}
		n, replayed := needsOf(e, call.Method().FullName())
		switch {
		case !replayed:
			if d, ok := entry.(hauberk.Declarer); ok && r.record.By != "" && d.Declare().Name == r.record.By {
				return r.stop(at, "it was rejected by "+r.record.By+", which is not replayed")
			}
			return next(ctx, call)
		case call.Public() && (e.Use == authn || e.Use == "authz"): // which let all calls pass
			return entry.Intercept(ctx, call, next)
		case e.Use == authn:
			return r.authenticate(ctx, call, next, at)
		}
		id, _ := hauberk.IdentityKey.Get(call)
		if missing := n.missing(r.record, id); missing != "" {
			return r.stop(at, missing)
		}
		if until, ok := r.uncertain[at]; ok && r.record.Start.Before(until) {
			return r.stop(at, "the limit may have counted a call that cannot be decided")
		}
		return entry.Intercept(ctx, call, next)
	}
}

// authenticate does what authn has done with the call, at a place in entries.
func (r *replayer) authenticate(ctx context.Context, call *hauberk.Call, next hauberk.Next, at int) error {
	switch {
	case r.record.By == authn:
		return hauberk.Reject(r.record.Code, r.record.Reason, "as recorded")
	case r.record.Identity == nil:
		return r.stop(at, "no identity")
	default:
		hauberk.IdentityKey.Set(call, r.record.Identity)
		return next(ctx, call)
	}
}

// stop ends a call that an entry cannot decide.
func (r *replayer) stop(at int, why string) error {
	r.at, r.undecided = at, why+" ("+place(r.entries[at])+")"
	return errUndecided
}

// decide makes a call.
func (r *replayer) decide(p *policy.Policy, record *Record) Difference {
	r.record, r.call, r.undecided = record, nil, ""
	r.setClock(record.Start)
	d := Difference{Record: record, Before: Verdict{Admitted: true}}
	if record.Reason != "" {
		d.Before = Verdict{Code: record.Code, Reason: record.Reason, By: record.By, Rule: record.Rule}
	}
	admitted := false
	err := offline.Serve(r.context(), p.Server(), offline.Call{
		Method: record.Method, Kind: record.Kind, Request: new(emptypb.Empty), Response: new(emptypb.Empty),
		Handle: func(context.Context) error {
			admitted = true
			if record.Reason != "" || record.Code == codes.OK {
				return nil
			}
			return status.Error(record.Code, "as recorded")
		},
	})
	switch {
	case r.undecided != "":
		d.Undecided = r.undecided
		r.doubt(p)
	case admitted:
		d.After = Verdict{Admitted: true}
	default:
		st := hauberk.StatusOf(err)
		d.After = Verdict{Code: st.Code(), Reason: hauberk.Reason(st.Err())}
		d.After.By, d.After.Rule = r.rejectedBy()
	}
	return d
}

// rejectedBy returns the interceptor that rejected the call, and its rule.
func (r *replayer) rejectedBy() (by, rule string) {
	if r.call == nil {
		return "", ""
	}
	for _, made := range slices.Backward(r.call.Decisions().All()) {
		if made.Verdict == hauberk.Rejected && !made.Shadow {
			return made.Interceptor, made.Rule
		}
	}
	return "", ""
}

// doubt notes that limits may have counted the call: that which cannot decide it, and inner ones.
func (r *replayer) doubt(p *policy.Policy) {
	explained, err := p.Explain(r.record.Method)
	if err != nil {
		return
	}
	runs := make(map[int]bool) // by line
	for i := range explained.Server {
		runs[explained.Server[i].Line] = explained.Server[i].Runs
	}
	for at, e := range r.entries {
		if at < r.at || e.Use != "rate_limit" || e.Mode != policy.Enforce || !runs[e.Line] {
			continue
		}
		if until := r.record.Start.Add(refill(e)); until.After(r.uncertain[at]) {
			r.uncertain[at] = until
		}
	}
}

// context returns the context of a call. If the record has no metadata, the address of the client is in place of that
// of the connection, since the proxies that reported it are not known.
func (r *replayer) context() context.Context {
	record := r.record
	ctx := metadata.NewIncomingContext(context.Background(), metadata.MD(record.Metadata).Copy())
	from := record.Peer
	if _, ok := record.Metadata["x-forwarded-for"]; !ok && record.Client.IsValid() {
		from = netip.AddrPortFrom(record.Client, record.Peer.Port())
	}
	if !from.IsValid() {
		return ctx
	}
	return peer.NewContext(ctx, &peer.Peer{Addr: net.TCPAddrFromAddrPort(from)})
}
