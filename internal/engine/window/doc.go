// Package window limits how many permits are taken in a window of time, in two
// ways: a [Log] for a window that slides, a [Counter] for fixed windows that
// follow each other. Both keep the state of one key and decide by a [Limit].
//
// # Sliding: Log
//
// A request is admitted if the permits taken less than one period ago leave room
// for it, so that no stretch of time shorter than the period ever holds more than
// the limit. The log has an entry of 16 bytes for each time at which permits were
// taken, at most 1024 of them. It is exact for limits of at most 1024 permits.
// For greater ones, times within the same 1/1023 of the period share an entry with
// the latest of them: permits come back by so much too late, never too early.
// A Log takes 56 bytes and a power of two of entries, from 64 bytes to 16 KiB.
//
// # Fixed: Counter
//
// Windows begin at whole multiples of their length, counted from the clock's 0,
// and each admits the limit afresh. Around the edge of two windows up to twice
// the limit may pass; that is the nature of fixed windows, and a Log or package
// gcra does not have it. A Counter takes 24 bytes.
//
// # Time
//
// Time is the reading of a monotonic clock: a duration since any moment of the
// caller's choice, the same one in all calls on a Log or Counter. A reading that
// lies behind what was seen counts as the later time. If it lies behind by more
// than 10 s, the clock was set back, and what is kept moves back with it. So
// no one gets a fresh limit by that, and no one waits more than 10 s longer than a
// period. While the clock stands still, permits do not come back.
package window
