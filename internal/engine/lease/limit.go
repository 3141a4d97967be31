package lease

import (
	"math"
	"time"
)

// Never is the RetryAfter of a request for more permits than the burst.
const Never time.Duration = math.MaxInt64

// Decision is the answer to a request for permits, by what a node knows.
type Decision struct {
	OK         bool          // the permits were taken
	RetryAfter time.Duration // until the request can be met, at least; Never if it is above the burst; 0 if OK
	Remaining  int           // permits that can still be taken, about
	ResetAfter time.Duration // until the quota is whole, about

	id int64 // of the lease
}

// Kind is how permits return.
type Kind uint8

// The kinds.
const (
	Even    Kind = iota // one by one (GCRA)
	Sliding             // each one period after it was taken
	Fixed               // all at the end of a window
)

// Config describes a limit. The store has checked it.
type Config struct {
	Permits int
	Per     time.Duration
	Burst   int // Permits, unless Kind is Even
	Kind    Kind
	NoLease bool // nodes ask for each request that they cannot reject
}

const (
	shareOfLease = 400 // a lease is at most this part of the permits
	lifeOfPeriod = 100
	minLife      = time.Millisecond // less is used up by the round trip
	minStale     = 5 * time.Millisecond
	maxStale     = time.Second
	roomInLeases = 8 // reservations of all nodes, in greatest leases: 2 % of the permits
)

// Limit is a limit as nodes see it. It is immutable. Create it with [NewLimit].
type Limit struct {
	permits, burst int
	per            time.Duration
	kind           Kind
	most           int // permits of a lease; 0: no leases
	life           time.Duration
	stale          time.Duration // a node rejects by an answer for at most this time
}

// NewLimit returns the limit of a configuration.
func NewLimit(c Config) *Limit {
	l := &Limit{permits: c.Permits, burst: c.Burst, per: c.Per, kind: c.Kind}
	l.life = c.Per / lifeOfPeriod
	l.stale = min(max(l.life, minStale), maxStale)
	if !c.NoLease && l.life >= minLife {
		l.most = c.Permits / shareOfLease
	}
	return l
}

// Leases reports whether nodes take leases.
func (l *Limit) Leases() bool { return l.most > 0 }

// Life returns the time within which a leased permit is used.
func (l *Limit) Life() time.Duration { return l.life }

// grace is the time after the end of a lease in which its rest waits for the next request to the store.
func (l *Limit) grace() time.Duration { return l.life / 2 }

// Room returns the number of permits that the store reserves at a time, for all nodes.
func (l *Limit) Room() int { return roomInLeases * l.most }

// after returns the time in which n permits return evenly.
func (l *Limit) after(n int) time.Duration {
	return time.Duration(math.Ceil(float64(n) * float64(l.per) / float64(l.permits)))
}

// within returns how many permits return evenly in a time, at most most.
func (l *Limit) within(t time.Duration, most int) int {
	if t <= 0 {
		return 0
	}
	return int(min(float64(t)*float64(l.permits)/float64(l.per), float64(most)))
}

// Windows reports whether all permits return at the end of a window.
func (l *Limit) Windows() bool { return l.kind == Fixed }
