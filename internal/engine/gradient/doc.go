// Package gradient finds the number of calls in flight at which a server is busy and calls do
// not queue inside it, from the durations of the calls.
//
// # Method
//
// [Limit] collects the durations of calls in windows. At the end of a window it compares their
// median with the baseline, which is the duration without a queue:
//
//   - Up to Tolerance times the baseline the limit grows by its square root, if the calls
//     used most of it.
//   - Above, the limit is multiplied by the gradient: Tolerance · baseline / median, at least
//     1/2 in one window.
//   - A median below the baseline lowers the baseline.
//
// A lower limit shortens calls that queue, and not those of a server that has become slower. When
// the limit has fallen by a quarter, the fall of the median distinguishes the two: if it is less than half
// of what a queue would give, the median is the new baseline, and the limit returns to where it
// was. Every ProbeEvery the limit is halved for one window, for the same comparison: it finds
// a baseline that was measured with a queue, such as the first one.
//
// The gradient, its lower bound, the tolerance and the growth by the square root are those of
// Gradient2Limit in Netflix's concurrency-limits (https://github.com/Netflix/concurrency-limits).
// Its baseline is an exponential average over 600 windows, which needs minutes after a step of latency and
// follows a queue that lasts. The adaptive limiter of failsafe-go
// (https://failsafe-go.dev/adaptive-limiter/) also uses a quantile of a window, and the correlation of
// calls in flight with durations and throughput where this package compares two limits.
//
// # What counts
//
// Only durations of calls that began after the last change of the limit count: those of earlier
// ones are of the earlier limit. The median does not change if fewer than half of the calls are slow. A
// window has at least MinSamples calls, at least as many as the limit up to 100, and lasts for at least Window.
//
// A call that ended early, such as at its deadline, is [AtLeast]: it counts if it took as long as
// the baseline. A caller cannot change the limit with short deadlines.
//
// A call that the server rejects because of its load is [Overload]. In a window with 5 % of
// such calls the limit is multiplied by 0.9.
//
// # Concurrency and time
//
// Methods are safe for concurrent use. Times are readings of a monotonic clock.
package gradient
