package keyed

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// maxText is the greatest length of a key that is stored unchanged, in bytes.
const maxText = 128

// identity identifies a key.
type identity struct {
	hash   uint64
	text   string // the key, or its SHA-256 as 32 bytes
	digest bool
}

// digest returns the SHA-256 of key. Converting key to a slice would copy it.
func digest(key string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(key), len(key)))
}

// entry is one key and its state.
type entry[S any] struct {
	identity
	used         atomic.Int64 // time.Duration
	next         atomic.Pointer[entry[S]]
	older, newer *entry[S] // guarded by the shard's lock
	state        S
}

// shortText is the greatest length of a key that is stored next to its entry, in bytes, so that a comparison does
// not wait for another part of the memory.
const shortText = 32

// newEntry copies the key, so that a larger string which contains it can be freed.
func newEntry[S any](id identity, now time.Duration) *entry[S] {
	e := withText[S](id.text)
	e.hash, e.digest = id.hash, id.digest
	e.used.Store(int64(now))
	return e
}

// withText returns an entry with a copy of a key.
func withText[S any](text string) *entry[S] {
	if len(text) > shortText {
		return &entry[S]{identity: identity{text: strings.Clone(text)}}
	}
	e := new(struct {
		entry[S]

		room [shortText]byte
	})
	e.text = unsafe.String(&e.room[0], copy(e.room[:], text))
	return &e.entry
}

func (e *entry[S]) lastUse() time.Duration { return time.Duration(e.used.Load()) }

// name returns the key, or a readable form of its digest.
func (id *identity) name() string {
	if id.digest {
		return "sha256:" + hex.EncodeToString([]byte(id.text))
	}
	return id.text
}
