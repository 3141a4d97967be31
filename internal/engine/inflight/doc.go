// Package inflight limits how many calls are in flight, with a bounded queue and fair shares.
//
// # Admission
//
// A [Limiter] admits a call if fewer than Limit calls are in flight and its tenant may have
// another one. Each active tenant has the share Limit/n of n active tenants, rounded down, at
// least 1. A tenant is active while calls of it are in flight or wait, and for Hold after that.
//
//   - A tenant below its share is admitted if any slot is free.
//   - A tenant at or above its share borrows: it is admitted if more slots are free than the other
//     active tenants have left of their shares, or than half of the limit.
//
// A tenant that uses at most half of its share therefore loses nothing to others, however much
// they ask for, except while calls that were admitted before it became active occupy its slots: then
// its call waits for the next slot that becomes free. Half of the limit can be borrowed
// even if tenants beyond number are active. A limiter without tenants has one, whose share
// is the whole limit. The idea of partitions that may exceed their part while others leave it unused
// is that of AbstractPartitionedLimiter in Netflix's concurrency-limits
// (https://github.com/Netflix/concurrency-limits). There the total may exceed the limit; here it
// never does.
//
// # Queue
//
// At most MaxWaiting calls wait, each at most MaxWait. A free slot goes to the tenant below its
// share first, then to the call with the higher priority, then to the tenant with fewer calls in
// flight, then to the call that waits longest. If the queue is full, a call displaces the newest
// one with the lowest priority of the tenant that has most calls in flight and waiting, if that
// tenant has more than its own; among tenants that do not have fewer, it displaces one of lower priority.
//
// A call that cannot finish before its deadline does not wait: if less time is left than nine of
// ten recent calls of its tenant took, it is dropped, when it asks and at any later time. Calls of other
// tenants, which may take longer, do not matter.
//
// # Concurrency and time
//
// All methods are safe for concurrent use. A time is a reading of a monotonic clock: a duration
// since a fixed moment that the caller chooses.
package inflight
