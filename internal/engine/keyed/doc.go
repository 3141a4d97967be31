// Package keyed implements a bounded map from keys, such as users, peers or methods, to states.
//
// # Bounds
//
//   - A [Map] holds at most MaxKeys keys. A full Map evicts the least recently used key with
//     its state. The time of use has a resolution of one millisecond. While at most half of the
//     keys of a shard for 1024 or more are taken, it may have one of half a second.
//   - A Map for 8192 keys or more has shards. Each shard has its part of MaxKeys and evicts
//     independently. Keys spread evenly over the shards, so one shard may be full when the
//     whole Map is 95 % full.
//   - A key that was not used for the time Idle is removed. Calls for other keys free its
//     memory gradually; there is no goroutine. Choose Idle so that a state of that age is
//     equivalent to a new one.
//   - Keys of more than 128 bytes are stored as their SHA-256, so a key costs at most about 240
//     bytes in addition to its state. Shorter keys are stored and compared unchanged.
//   - No two keys in a Map share a state.
//
// # Cost
//
// Getting a known key allocates nothing. It takes no lock if the key was used less than
// the resolution ago, and otherwise the lock of one shard. Each Map seeds its hashes, so callers
// cannot choose keys that collide.
//
// # Time
//
// Time is the reading of a monotonic clock: the duration since a fixed moment, the same one in
// all calls. If the clock does not advance, the order of use is the order in which keys were
// added. If it is set back, earlier keys do not count as idle until the clock has caught up and
// Idle has passed. MaxKeys holds in both cases.
//
// # Concurrency
//
// All methods are safe for concurrent use. States must be safe for concurrent use themselves. A
// state that was returned and then removed from the Map still works, and affects no other key.
package keyed
