package requestid

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// UUIDv7 returns a new UUID of version 7 (RFC 9562, section 5.7) as text, in lower case:
// 48 bits of Unix time in milliseconds, 12 bits of the fraction of the millisecond
// (section 6.2, method 3) and 62 random bits. UUIDs of one process that are made at least
// a quarter of a microsecond apart sort by time, unless its clock is set back.
//
// The random bits come from math/rand/v2, a ChaCha8 that the runtime seeds from the
// operating system. They are enough to avoid collisions between processes. An id is not a
// secret. Safe for concurrent use.
func UUIDv7() string { return formatUUIDv7(time.Now(), rand.Uint64()) }

// formatUUIDv7 makes a UUID from a time and the lower 62 bits of random.
func formatUUIDv7(now time.Time, random uint64) string {
	ns := uint64(now.UnixNano())
	const perMilli = uint64(time.Millisecond)
	milli, fraction := ns/perMilli, ns%perMilli<<12/perMilli

	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], milli<<16|7<<12|fraction)
	binary.BigEndian.PutUint64(id[8:], 0b10<<62|random&(1<<62-1))

	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
