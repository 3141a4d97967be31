package idempotency

import (
	"context"
	"time"
)

// State is the state of a key in a [Store].
type State uint8

// The states.
const (
	// Owned: the key belongs to the call that asks.
	Owned State = iota
	// Running: the key belongs to another call, whose lease has not expired.
	Running
	// Finished: there is an outcome.
	Finished
)

// Key identifies the calls of one effect: the caller, the method and the idempotency key. It is a
// SHA-256.
type Key [32]byte

// Fingerprint identifies a request. It is a SHA-256.
type Fingerprint [32]byte

// Record is what a [Store] has for a key.
type Record struct {
	State State
	// Fingerprint is that of the call that owns or owned the key.
	Fingerprint Fingerprint
	// Outcome is that of Finish, if State is Finished. It must not be modified.
	Outcome []byte
}

// Store keeps keys and outcomes. Each method is atomic and safe for concurrent use. It returns an error
// if it is not known whether it had its effect; ctx bounds its time. Of requests after the end of a call, ctx has no
// values.
//
//	        Begin             Finish
//	free ──────────▶ owned ─────────────▶ finished
//	  ▲                │                      │
//	  └────────────────┴──────────────────────┘
//	   Release, or the lease or the TTL expires
type Store interface {
	// Begin gives a free key to the owner for a lease, and returns what the key has then. It returns
	// Owned again for the same owner.
	Begin(ctx context.Context, key Key, owner string, of Fingerprint, lease time.Duration) (Record, error)
	// Renew begins the lease again. It reports false, and does nothing, if the key does not belong to
	// the owner.
	Renew(ctx context.Context, key Key, owner string, lease time.Duration) (held bool, err error)
	// Finish keeps an outcome for a time, unless the key belongs to another owner, or has the outcome of
	// another: then it reports false. A key whose lease has expired and that is free takes the outcome. An
	// owner that asks again changes nothing.
	Finish(ctx context.Context, key Key, owner string, of Fingerprint, outcome []byte, ttl time.Duration) (
		held bool, err error,
	)
	// Release makes the key free if it belongs to the owner and has no outcome.
	Release(ctx context.Context, key Key, owner string) error
}
