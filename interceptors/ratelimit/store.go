package ratelimit

import (
	"context"
	"time"
)

// Store keeps quotas outside of the process, for all nodes that share them. See [WithStore].
type Store interface {
	// Open returns the quotas of the limits of an interceptor. [New] calls it once and reports its
	// error. It does not wait for a server.
	Open(limits []Limit) (Quotas, error)
}

// Limit is a limit of a [Config] as a [Store] enforces it. All values are valid for quotas in
// memory; Open reports those that it cannot enforce.
//
// Limits that are equal in all fields share quotas, in all interceptors and processes that use a
// store. The order and the number of the limits of an interceptor do not matter. Limits of one
// interceptor that are equal in all fields have separate quotas: the first one, the second one and so on.
type Limit struct {
	Name string // the kind of key, such as "user"
	// ID is what the limit belongs to. It is the same after a restart, in other processes and if other
	// limits change:
	//   - [New]: "".
	//   - [FromPolicy]: the method, such as "shop.v1.Cart/Pay", or the service that shares the limit, such
	//     as "shop.v1.Cart/*". A further equal limit of it has "#2" and so on appended.
	//   - Package rlsserver: the domain and the descriptor's keys and values, or that the limit is one
	//     that requests carry.
	ID string
	// Joint says that a later Open may have the limit together with further ones, whose permits calls take
	// with those of this one. Package rlsserver sets it, whose limits can change.
	Joint bool

	Permits   int // that return in each Per
	Per       time.Duration
	Burst     int // Permits, unless Algorithm is GCRA
	Algorithm Algorithm
}

// Quotas are the quotas of the limits that were given to [Store.Open]. Safe for concurrent use.
type Quotas interface {
	// Take takes the permits of every demand, or none, and writes the decision on each. It waits
	// at most for timeout. An error means that the quotas are not known: whether permits were taken
	// is not known either.
	Take(ctx context.Context, timeout time.Duration, demands []Demand, decisions []Decision) error
	// Charge takes the permits of every demand even if there are none, so that later calls wait for
	// them; negative permits are given back, up to a whole quota. A debt is at most one burst.
	Charge(ctx context.Context, timeout time.Duration, demands []Demand) error
}

// Demand asks for permits of one quota.
type Demand struct {
	Limit   int    // the index in the limits that Open got
	Key     []byte // of any content and length; not modified
	Peer    bool   // Key is a peer, of calls without a key: other calls have other quotas
	Permits int    // 0 asks for the state only
}
