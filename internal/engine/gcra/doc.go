// Package gcra limits a rate with the generic cell rate algorithm: a token
// bucket whose whole state, for one key, is one atomic 64-bit integer.
//
// # Method
//
// A [Limit] says how many permits come back in a period and how many may be
// taken at once, the burst. A [Bucket] keeps, for one key, the theoretical
// arrival time: the moment at which the bucket will be full again. Taking n
// permits moves that moment on by n emission intervals, and is rejected if it
// would then lie more than a whole burst ahead. This is the virtual scheduling
// algorithm of ITU-T I.371 and the ATM Forum's Traffic Management
// Specification 4.0 (af-tm-0056.000, section 4.4.2), and decides exactly as a
// bucket of tokens that is filled continuously.
//
// # Guarantees
//
//   - In any stretch of time t, at most rate·t + burst permits are admitted:
//     there is no double burst at the edge of a window. A rejection takes nothing.
//   - Arithmetic is exact, not rounded to nanoseconds: a drained bucket of 7
//     permits a minute has 7 again after exactly a minute. It is exact when
//     permits and the nanoseconds of the period, divided by their greatest
//     common factor, leave at most 1024 permits: always up to 1024 permits, and
//     for round numbers above. Otherwise the interval is rounded up to 1/1024 ns.
//   - Sizes that cannot be kept without overflow are rejected by [New].
//
// # Time
//
// Time is the reading of a monotonic clock: a duration since any moment of the
// caller's choice, the same one in all calls on a Bucket. A reading that lies
// behind those of other goroutines gains nothing. If it lies behind by more than
// 10 s, the clock was set back, and the bucket counts as empty at the new time. So
// no one gets a fresh burst by that, and no one waits more than 10 s longer than
// for a full bucket. While the clock stands still, permits do not come back.
//
// A Bucket that is not used for 146 years divided by the permits of the reduced
// fraction above, 52 days at the least, may count as empty once.
package gcra
