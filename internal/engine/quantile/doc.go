// Package quantile keeps the distribution of durations in a fixed 6.4 KiB: a
// [Histogram] that many goroutines record into without a lock and without an
// allocation, and that answers count, sum, mean and any quantile.
//
// # Method
//
// Buckets are logarithmic: each power of two of nanoseconds is cut into 27
// buckets whose edges have the constant ratio γ = 2^(1/27), and a bucket
// answers with the point whose relative error is the same at both its edges,
// (γ-1)/(γ+1) = 1.284 %. That guarantee and its proof are DDSketch's (Masson,
// Rim, Lee: "DDSketch: A fast and fully-mergeable quantile sketch with
// relative-error guarantees", PVLDB 12(12), 2019). The fixed array
// over a fixed range, found with a count of leading zeros in place of a
// logarithm, is HdrHistogram's (Gil Tene, https://hdrhistogram.org); a table of
// 64 entries turns its linear steps into exact logarithmic ones.
//
// # Errors
//
//   - From 1 µs up to [Max] (18 min 19.5 s) a quantile is within
//     [RelativeError], 1.31 %, of the recorded duration of that rank; from
//     100 µs up within 1.284 %.
//   - Below 1 µs it is within 128 ns.
//   - Negative durations count as 0. A duration of [Max] or more is counted,
//     and enters sum and mean, in full, but a quantile that falls on it is Max.
//   - Count and sum are exact, and so is the mean, truncated to 1 ns.
//
// # Concurrency
//
// All methods of Histogram may be called at once from any goroutine. A
// [Snapshot] is a plain value.
package quantile
