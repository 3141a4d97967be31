// Package window implements limits on the number of permits in a window of time. A [Log] has a
// sliding window, a [Counter] consecutive fixed windows. Both are the state of one key and
// decide by a [Limit].
//
// # Sliding: Log
//
// A request is admitted if its permits and those taken less than one period ago do not exceed
// the limit. So no interval shorter than the period contains more permits than the limit. The
// log has an entry of 16 bytes for each time at which permits were taken, at most 1024 entries.
// It is exact for limits of at most 1024 permits. For greater limits, times within the same
// 1/1023 of the period share an entry with the latest of them. Then permits return up to
// 1/1023 of the period too late, but never too early. A Log has 56 bytes and a power of two of
// entries, from 64 bytes to 16 KiB.
//
// # Fixed: Counter
//
// Windows start at multiples of their length, counted from the clock's 0, and each admits the
// whole limit. Up to twice the limit can be admitted around the edge of two windows. All fixed
// windows have this property; a Log or package gcra does not. A Counter has 24 bytes.
//
// # Time
//
// Time is the reading of a monotonic clock: the duration since a fixed moment, the same one in
// all calls on a Log or Counter. A reading that is earlier than a previous one counts as the
// previous one. If it is earlier by more than 10 s, the clock was set back, and the stored times
// move back with it. So a clock that is set back gives no key a fresh limit and makes no key
// wait more than 10 s longer than a period. If the clock does not advance, no permits return.
package window
