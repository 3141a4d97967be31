// Package quantile implements a histogram of durations with a fixed size of 6.4 KiB. Goroutines
// record into a [Histogram] concurrently without a lock and without an allocation. A Histogram
// returns count, sum, mean and any quantile. A [Live] is one quantile of recent durations.
//
// # Method
//
// Buckets are logarithmic. Each power of two of nanoseconds has 27 buckets whose edges have the
// constant ratio γ = 2^(1/27). The quantile for a bucket is the point with the same relative
// error at both edges, (γ-1)/(γ+1) = 1.284 %. The guarantee and its proof are those of DDSketch
// (Masson, Rim, Lee: "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
// guarantees", PVLDB 12(12), 2019). The fixed array over a fixed range, with a count of leading
// zeros instead of a logarithm, is that of HdrHistogram (Gil Tene, https://hdrhistogram.org). A
// table of 64 entries converts its linear steps into exact logarithmic ones.
//
// # Errors
//
//   - From 1 µs up to [Max] (18 min 19.5 s) a quantile is within
//     [RelativeError], 1.31 %, of the recorded duration of that rank; from
//     100 µs up within 1.284 %.
//   - Below 1 µs it is within 128 ns.
//   - A negative duration counts as 0. A duration of [Max] or more is part of count, sum and
//     mean without change, but its quantile is Max.
//   - Count and sum are exact, and so is the mean, truncated to 1 ns.
//
// # Concurrency
//
// All methods of Histogram and Live are safe for concurrent use. A [Snapshot] is a plain value.
package quantile
