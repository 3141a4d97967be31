// Package lease lets the nodes of a shared limit decide most requests without asking the store
// that keeps the quota. It knows neither the store nor the network: callers send an [Ask], and
// give the [Answer] to the [Key].
//
// # Leases
//
// A node that often asks for a key takes more permits than it needs, a lease, and takes later
// requests from it:
//
//   - A lease is at most 1/400 of the limit, and about what the node uses in the life of a lease.
//   - A permit is used within the life of a lease: 1/100 of the period, after the store has
//     granted it. What is left goes back to the store.
//   - At most one request to the store is in flight for a key. Others wait for it.
//
// Limits below 400 permits, and limits whose leases would live for less than a millisecond, have
// no leases.
//
// # Reservations
//
// If permits return evenly (GCRA) and none are left, the store grants those that come next, in
// the order of the requests. The node uses each of them from the moment at which it is there. So
// a drained key costs one request for each lease, and nodes that compete for it take turns. The store
// divides reservations as a switch divides its buffer (Choudhury and Hahne, Dynamic Queue Length
// Thresholds): each gets at most half of the rest of 2 % of the limit.
//
// # Rejections
//
// A node that knows from an answer that a request cannot be met rejects it without asking, until
// the first moment at which a lease's worth of permits can be there; without leases, one permit.
//
// # Bounds
//
// With any number of nodes, more than the limit is admitted only by permits that were granted
// before a window and are used in it. GCRA has returned at most 1 % of the limit in the life of a
// lease, so at most that much is admitted in addition. A fixed window ends its leases: nothing is
// admitted in addition. A sliding window admits in addition at most what is in leases: 1/400 of the
// limit for each node that has one.
//
// At most what is in leases is not admitted while there is demand for it elsewhere, until it
// returns.
//
// # Time
//
// Time is the duration since a fixed moment, the same in all calls on a Key. Readings that are
// earlier than previous ones count as they are.
package lease
