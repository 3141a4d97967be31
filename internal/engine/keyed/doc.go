// Package keyed keeps a state for each key: of a user, a peer, a method. It is
// bounded whatever keys come.
//
// # Bounds
//
//   - A [Map] never holds more than MaxKeys keys. For room, the key that was used
//     least recently is forgotten, with its state; keys never share one. Use is
//     known to the millisecond. A Map for 8192 keys or more has shards, each with
//     its part of MaxKeys and an order of its own: keys spread evenly over them, so
//     that one may be full when the whole holds some 95 %.
//   - A key that was not used for Idle is forgotten. Its memory is given back bit
//     by bit, by calls for other keys; there is no goroutine. Choose Idle so that
//     a state of that age is as good as new.
//   - Keys of more than 128 bytes are kept as their SHA-256, so that a key costs
//     at most about 230 bytes besides its state. Others are kept, and compared,
//     as they are. No two keys that can be found share a state.
//
// # Cost
//
// Nothing is allocated for a key that is known. If it was used less than a
// millisecond ago it is found without a lock, otherwise under that of one shard.
// Hashes are seeded for each Map: no one can choose keys that collide.
//
// # Time
//
// Time is the reading of a monotonic clock: a duration since any moment of the
// caller's choice, the same one in all calls. While it stands still, the order of
// use is the order in which keys came. If it is set back, keys from before do not
// count as idle until it has caught up, and then for Idle; MaxKeys holds.
//
// # Concurrency
//
// All methods may be called at once from any goroutine; states must be safe for
// that themselves. A state that was handed out and then forgotten still works, and
// affects no one else.
package keyed
