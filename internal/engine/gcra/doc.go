// Package gcra implements rate limits with the generic cell rate algorithm. It is equivalent
// to a token bucket. The state of one key is one atomic 64-bit integer.
//
// # Method
//
// A [Limit] is the number of permits that return in a period and the number that can be taken
// at once, the burst. A [Bucket] stores the theoretical arrival time of one key: the time at
// which the bucket will be full again. Taking n permits moves this time forward by n emission
// intervals. The request is rejected if the time would then be more than a whole burst ahead.
// This is the virtual scheduling algorithm of ITU-T I.371 and the ATM Forum's Traffic
// Management Specification 4.0 (af-tm-0056.000, section 4.4.2). It decides exactly as a bucket
// of tokens that is filled continuously.
//
// # Guarantees
//
//   - In any time t, at most rate·t + burst permits are admitted. There is no double burst
//     at the edge of a window. A rejected request takes no permits.
//   - Arithmetic is exact, not rounded to nanoseconds: a drained bucket of 7
//     permits a minute has 7 again after exactly a minute. It is exact when
//     permits and the nanoseconds of the period, divided by their greatest
//     common factor, leave at most 1024 permits: always up to 1024 permits, and
//     for round numbers above. Otherwise the interval is rounded up to 1/1024 ns.
//   - [New] rejects sizes that would overflow.
//
// # Time
//
// Time is the reading of a monotonic clock: the duration since a fixed moment, the same one in
// all calls on a Bucket. A reading that is earlier than those of other goroutines yields no
// additional permits. If it is earlier by more than 10 s, the clock was set back, and the
// bucket is empty at the new time. So a clock that is set back gives no key a fresh burst and makes no
// key wait more than 10 s longer than it takes to fill a bucket. If the clock does not advance,
// no permits return.
//
// A Bucket that is unused for 146 years divided by the permits of the reduced fraction above
// (at least 52 days) may be treated as empty once.
package gcra
