// Package keyed keeps a state for each key: of a user, a peer, a method. It is
// bounded whatever keys come.
//
// # Bounds
//
//   - A [Map] never holds more than MaxKeys keys. For room, the key that was used
//     least recently is forgotten, with its state; keys never share one. Use is
//     known to the millisecond. A Map for more than 4096 keys has several shards,
//     each with its part of MaxKeys and an order of its own: keys spread evenly
//     over them, so one may be full when the whole holds some 95 %.
//   - A key that was not used for Idle is forgotten. Its memory is given back bit
//     by bit, by calls for other keys; there is no goroutine. Choose Idle so that
//     a state of that age is as good as new.
//   - Keys of more than 128 bytes are kept as their SHA-256, so that a key costs
//     at most about 230 bytes besides its state. Others are kept, and compared,
//     as they are. No two keys that can be found share a state.
//
// # Cost
//
// Finding a key that is in use, at most a millisecond after it was last found
// thus, takes no lock and allocates nothing; later it takes the lock of one shard.
// Hashes are seeded for each Map, so that nobody can choose keys that collide.
//
// # Time
//
// Time is the reading of a monotonic clock: a duration since any moment of the
// caller's choice, the same one in all calls. While it stands still, or after it
// was set back, keys are forgotten in the order in which they came, and only for
// room.
//
// # Concurrency
//
// All methods may be called at once from any goroutine; states must be safe for
// that themselves. A state that was handed out and then forgotten still works, and
// affects nobody else.
package keyed
