package inflight

import (
	"strings"
	"time"
)

// tenant is the calls of one tenant.
type tenant struct {
	name    string
	running int
	queue   []*Ticket // by priority, the highest first, then by age
	seen    time.Duration
	took    brief

	older, newer *tenant // in the list of tenants without calls
}

// demand returns how many calls a tenant has.
func (t *tenant) demand() int { return t.running + len(t.queue) }

// table is the active tenants.
type table struct {
	tenants map[string]*tenant
	idle    tenant // the ends of the list of tenants without calls, in the order of leaving
	share   int    // of each tenant
	used    int    // the sum over tenants of running calls, each at most share
	last    *tenant
}

func (b *table) init() {
	b.tenants = make(map[string]*tenant)
	b.idle.older, b.idle.newer = &b.idle, &b.idle
}

// activate returns a tenant that asks for a slot, after removing those whose share is no longer
// held.
func (l *Limiter) activate(name string, now time.Duration) *tenant {
	l.lapse(now)
	if t := l.last; t != nil && t.name == name {
		l.see(t, now)
		return t
	}
	t := l.tenants[name]
	if t == nil {
		t = &tenant{name: strings.Clone(name)}
		t.older, t.newer = t, t // in no list
		l.tenants[t.name] = t
		l.reshare(l.limit)
	}
	l.last = t
	l.see(t, now)
	return t
}

// see notes that a tenant asked for a slot. One without calls becomes the newest of the list.
func (l *Limiter) see(t *tenant, now time.Duration) {
	t.seen = max(t.seen, now)
	if t.demand() == 0 && l.idle.older != t {
		t.unlink()
		l.push(t)
	}
}

// maxIdle bounds the tenants that keep a share without having calls.
const maxIdle = 4096

// lapse removes tenants that had no calls for Hold. A single one keeps its share.
func (l *Limiter) lapse(now time.Duration) {
	t := l.idle.newer
	if t == &l.idle || len(l.tenants) == 1 || now-t.seen < l.config.Hold && len(l.tenants) < maxIdle {
		return
	}
	for t != &l.idle && len(l.tenants) > 1 && (now-t.seen >= l.config.Hold || len(l.tenants) >= maxIdle) {
		next := t.newer
		t.unlink()
		delete(l.tenants, t.name)
		if l.last == t {
			l.last = nil
		}
		t = next
	}
	l.reshare(l.limit)
}

// owed returns how many free slots a tenant that is not below its share must leave to the others:
// what they have left of their shares, at most half of the limit.
func (b *table) owed(t *tenant, limit int) int {
	left := (len(b.tenants)-1)*b.share - (b.used - min(t.running, b.share))
	return min(left, limit-limit/2)
}

// reshare computes the shares after a change of the limit or of the tenants.
func (b *table) reshare(limit int) {
	share := max(limit/max(len(b.tenants), 1), 1)
	if share == b.share {
		return
	}
	b.share, b.used = share, 0
	for _, t := range b.tenants {
		b.used += min(t.running, share)
	}
}

// began counts a call of a tenant that was admitted.
func (b *table) began(t *tenant) {
	if t.running < b.share {
		b.used++
	}
	t.running++
	t.unlink()
}

// ended counts the end of a call.
func (b *table) ended(t *tenant, now time.Duration) {
	t.running--
	if t.running < b.share {
		b.used--
	}
	t.seen = max(t.seen, now)
	b.rest(t)
}

// rest puts a tenant into the list if it has no calls.
func (b *table) rest(t *tenant) {
	if t.demand() == 0 {
		b.push(t)
	}
}

func (b *table) push(t *tenant) {
	t.older, t.newer = b.idle.older, &b.idle
	t.older.newer, b.idle.older = t, t
}

func (t *tenant) unlink() {
	t.older.newer, t.newer.older = t.newer, t.older
	t.older, t.newer = t, t
}
