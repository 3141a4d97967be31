package ratelimitredis

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

const (
	prefix  = "hauberk:"
	entries = 1024    // of a sliding window at most
	exact   = 1 << 53 // the numbers of the script are whole below it
	hashed  = 16      // bytes of a hash
)

// limit is a limit as the script enforces it.
type limit struct {
	lease *lease.Limit
	burst int
	args  [6]string // kind, permits, per, burst, grain, room
	tag   string    // of keys that are in one slot; "" if each has its own
	id    []byte    // what hashes of keys begin with
}

// newLimit returns a limit of the store with a name. equal is the number of equal limits before it.
func newLimit(l ratelimit.Limit, name string, equal int, noLeases bool) (*limit, error) {
	if l.Per%time.Microsecond != 0 {
		return nil, fmt.Errorf("a period of %v; want whole microseconds", l.Per)
	}
	kind, number := lease.Even, 0
	switch l.Algorithm {
	case ratelimit.GCRA:
	case ratelimit.SlidingWindow:
		kind, number = lease.Sliding, 1
	case ratelimit.FixedWindow:
		kind, number = lease.Fixed, 2
	default:
		return nil, fmt.Errorf("unknown algorithm %s; want GCRA, SlidingWindow or FixedWindow", l.Algorithm)
	}
	leased := lease.NewLimit(lease.Config{
		Permits: l.Permits, Per: l.Per, Burst: l.Burst, Kind: kind, NoLease: noLeases,
	})
	permits, per := int64(l.Permits), l.Per.Microseconds()
	grain := int64(1)
	if kind == lease.Even {
		// A permit is per units and permits units return in each microsecond: the smaller, the better.
		d := divisor(permits, per)
		permits, per = permits/d, per/d
	} else if permits > entries {
		grain = (per + entries - 2) / (entries - 1)
	}
	room := int64(leased.Room())
	// A debt of a burst, a demand of a burst and reservations are the most that the script adds up.
	if most := float64(3*float64(l.Burst)+float64(room)) * float64(per); kind == lease.Even && most >= exact {
		return nil, fmt.Errorf("a burst of %d permits with %d in %v is too large to be counted exactly; want a "+
			"shorter Per, a smaller Burst, or numbers with a common divisor", l.Burst, l.Permits, l.Per)
	}
	if 3*float64(l.Permits) >= exact {
		return nil, fmt.Errorf("a limit of %d; want at most %d", l.Permits, int64(exact/4))
	}
	x := &limit{lease: leased, burst: l.Burst}
	for i, n := range []int64{int64(number), permits, per, int64(l.Burst), grain, room} {
		x.args[i] = strconv.FormatInt(n, 10)
	}
	x.id = fmt.Appendf(nil, "%d:%s%d:%s%d:%s%d:%d:%d:%d:%d", len(name), name, len(l.ID), l.ID, len(l.Name), l.Name,
		equal, l.Permits, l.Per, l.Burst, number)
	return x, nil
}

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// key returns the key of a demand in the server.
func (l *limit) key(d *ratelimit.Demand) string {
	h := sha256.New()
	var head [9]byte
	binary.BigEndian.PutUint64(head[:], uint64(len(l.id)))
	if d.Peer {
		head[8] = 1
	}
	h.Write(head[:])
	h.Write(l.id)
	h.Write(d.Key)
	own := hex.EncodeToString(h.Sum(nil)[:hashed])
	if l.tag == "" {
		return prefix + "{" + own + "}"
	}
	return prefix + "{" + l.tag + "}:" + own
}

// tagOf returns the tag of the keys of limits that have demands together.
func tagOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:hashed])
}
