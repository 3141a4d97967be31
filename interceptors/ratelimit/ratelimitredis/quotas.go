package ratelimitredis

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// quotas are the quotas of the limits of an interceptor.
type quotas struct {
	store  *Store
	limits []*limit
	keys   []keys // of limits
	leases *leases
}

func (q *quotas) key(d *ratelimit.Demand, now time.Duration) *lease.Key {
	k := &q.keys[d.Limit]
	if d.Peer {
		return k[1].GetBytes(d.Key, now)
	}
	return k[0].GetBytes(d.Key, now)
}

func decisionOf(d lease.Decision) ratelimit.Decision {
	return ratelimit.Decision{OK: d.OK, RetryAfter: d.RetryAfter, Remaining: d.Remaining, ResetAfter: d.ResetAfter}
}

// Take takes the permits of every demand, or none.
func (q *quotas) Take(
	ctx context.Context, timeout time.Duration, demands []ratelimit.Demand, decisions []ratelimit.Decision,
) error {
	if len(demands) == 0 {
		return nil
	}
	now := q.store.clock()
	if len(demands) == 1 { // most calls end here
		d := &demands[0]
		answer, verdict := q.key(d, now).Take(q.limits[d.Limit].lease, now, d.Permits, false)
		if verdict != lease.Unknown {
			decisions[0] = decisionOf(answer)
			return nil
		}
	}
	patience := newPatience(ctx, timeout)
	defer patience.end()
	merged, at := merge(demands)
	t := newTaking(q, patience, merged)
	t.repeated = len(demands) == 1
	err := t.run(now)
	if at != nil {
		t.split(demands, at, decisions)
		return err
	}
	for i := range demands {
		decisions[i] = decisionOf(t.parts[i].decision)
	}
	return err
}

// taking takes the permits of several demands, or none.
type taking struct {
	q        *quotas
	patience *patience
	parts    []part
	repeated bool
}

// part is a demand.
type part struct {
	demand   *ratelimit.Demand
	limit    *limit
	key      *lease.Key
	decision lease.Decision
	verdict  lease.Verdict
	ask      lease.Ask
}

func newTaking(q *quotas, p *patience, demands []ratelimit.Demand) *taking {
	t := &taking{q: q, patience: p, parts: make([]part, len(demands))}
	now := q.store.clock()
	for i := range demands {
		d := &demands[i]
		t.parts[i] = part{demand: d, limit: q.limits[d.Limit], key: q.key(d, now)}
	}
	return t
}

// run decides by what the node holds and knows, and otherwise asks the server.
func (t *taking) run(now time.Duration) error {
	for ; ; now = t.q.store.clock() {
		rejected, unknown := false, false
		for i := range t.parts {
			p := &t.parts[i]
			p.decision, p.verdict = p.key.Take(p.limit.lease, now, p.demand.Permits, t.repeated)
			rejected = rejected || p.verdict == lease.Rejected
			unknown = unknown || p.verdict == lease.Unknown
		}
		t.repeated = true
		switch {
		case rejected:
			t.putBack()
			for i := range t.parts {
				if p := &t.parts[i]; p.verdict == lease.Unknown {
					p.decision = lease.Decision{OK: true}
				}
			}
			return nil
		case !unknown:
			return nil
		}
		flight := t.begin(now)
		if flight == nil {
			return t.ask()
		}
		t.putBack()
		if err := t.patience.await(flight.Done()); err != nil {
			return t.q.store.explainWait(err)
		}
	}
}

// putBack undoes what was taken from leases.
func (t *taking) putBack() {
	for i := range t.parts {
		if p := &t.parts[i]; p.verdict == lease.Taken {
			p.key.Put(p.demand.Permits, p.decision)
		}
	}
}

// begin begins the requests for all demands that are not decided, or returns one in flight that may
// bring permits for one of them.
func (t *taking) begin(now time.Duration) *lease.Flight {
	for i := range t.parts {
		p := &t.parts[i]
		if p.verdict != lease.Unknown {
			continue
		}
		var flight *lease.Flight
		if p.ask, flight = p.key.Begin(p.limit.lease, now, p.demand.Permits); flight == nil {
			continue
		}
		for j := range t.parts[:i] {
			if p := &t.parts[j]; p.verdict == lease.Unknown {
				p.key.Abort(&p.ask)
			}
		}
		return flight
	}
	return nil
}

// ask asks the server for all demands that are not decided.
func (t *taking) ask() error {
	asked := make([]part, 0, len(t.parts)) // copies: the caller may leave before the answer
	r := newRequest(take, len(t.parts))
	names := make([]string, 0, len(t.parts))
	for i := range t.parts {
		if p := &t.parts[i]; p.verdict == lease.Unknown {
			name := p.limit.key(p.demand)
			r.add(p.limit, name, &p.ask)
			asked, names = append(asked, *p), append(names, name)
		}
	}
	w := &work{request: r, land: func(answers []lease.Answer, err error, needed bool) {
		now := t.q.store.clock()
		for i := range asked {
			p := &asked[i]
			if err != nil {
				p.key.Fail(&p.ask)
				continue
			}
			var lapses time.Duration
			p.decision, lapses = p.key.Land(p.limit.lease, now, &p.ask, &answers[i], needed)
			if lapses > 0 {
				t.q.leases.hold(p.key, p.limit, names[i], lapses)
			}
		}
	}}
	if err := t.q.store.do(t.patience, w); err != nil {
		t.putBack()
		return err
	}
	all := true
	for i, n := 0, 0; i < len(t.parts); i++ {
		if p := &t.parts[i]; p.verdict == lease.Unknown {
			p.decision = asked[n].decision
			n++
			all = all && p.decision.OK
		}
	}
	if !all {
		t.putBack()
	}
	return nil
}

// Charge takes the permits of every demand even if there are none.
func (q *quotas) Charge(ctx context.Context, timeout time.Duration, demands []ratelimit.Demand) error {
	if len(demands) == 0 {
		return nil
	}
	patience := newPatience(ctx, timeout)
	defer patience.end()
	t := newTaking(q, patience, demands)
	if t.chargeLease() {
		return nil
	}
	r := newRequest(charge, len(demands))
	for i := range t.parts {
		p := &t.parts[i]
		r.add(p.limit, p.limit.key(p.demand), &lease.Ask{Need: p.demand.Permits})
	}
	parts := t.parts
	return q.store.do(patience, &work{request: r, land: func([]lease.Answer, error, bool) {
		for i := range parts {
			parts[i].key.Forget()
		}
	}})
}

// chargeLease takes the permits from leases, if those have all of them.
func (t *taking) chargeLease() bool {
	now, all := t.q.store.clock(), true
	for i := range t.parts {
		p := &t.parts[i]
		if p.demand.Permits <= 0 {
			all = false
			continue
		}
		p.decision, p.verdict = p.key.Take(p.limit.lease, now, p.demand.Permits, true)
		all = all && p.verdict == lease.Taken
	}
	if !all {
		t.putBack()
	}
	return all
}
