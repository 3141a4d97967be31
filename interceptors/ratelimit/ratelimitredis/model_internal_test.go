package ratelimitredis

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"
	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
	"github.com/hauberk-rpc/hauberk/internal/leasemodel"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// TestScriptAgainstModel compares the script with a model in Go: any requests at any times, also by a clock that
// is set back and forth.
func TestScriptAgainstModel(t *testing.T) {
	m := miniredis.RunT(t)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{m.Addr()}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	testseed.Check(t, func(r *rapid.T) {
		m.FlushAll()
		c := ratelimit.Limit{
			Name: "user", Permits: rapid.SampledFrom([]int{1, 3, 10, 1000, 5000, 1 << 20}).Draw(r, "permits"),
			Per:       rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(r, "per"),
			Algorithm: ratelimit.Algorithm(rapid.IntRange(0, 2).Draw(r, "algorithm")),
		}
		c.Burst = c.Permits
		if c.Algorithm == ratelimit.GCRA {
			c.Burst = rapid.SampledFrom([]int{1, 7, c.Permits}).Draw(r, "burst")
		}
		l, err := newLimit(c, "model", 0, false)
		if err != nil {
			r.Fatal(err)
		}
		kind := map[ratelimit.Algorithm]lease.Kind{0: lease.Even, 1: lease.Sliding, 2: lease.Fixed}[c.Algorithm]
		shape := &leasemodel.Limit{Permits: c.Permits, Per: c.Per, Burst: c.Burst, Kind: kind, Room: l.lease.Room(), Grains: entries}
		var q leasemodel.Quota
		now := time.Duration(1_700_000_000_123_456) * time.Microsecond
		last := lease.Answer{}
		for range rapid.IntRange(1, 30).Draw(r, "requests") {
			now += time.Duration(rapid.Int64Range(0, int64(c.Per/time.Microsecond)).Draw(r, "step")) * time.Microsecond /
				time.Duration(rapid.SampledFrom([]int64{1, 10, 1000}).Draw(r, "slow"))
			now = now.Truncate(time.Microsecond)
			if rapid.IntRange(0, 20).Draw(r, "jump") == 0 {
				now += time.Duration(rapid.Int64Range(-40, 40).Draw(r, "by")) * time.Second
			}
			m.SetTime(time.UnixMicro(int64(now / time.Microsecond)))
			a := lease.Ask{
				Need:    rapid.IntRange(0, min(c.Burst+1, 9)).Draw(r, "need"),
				Want:    rapid.SampledFrom([]int{0, 0, 1, 5, c.Permits / 400}).Draw(r, "want"),
				Reserve: kind == lease.Even && l.lease.Leases() && rapid.Bool().Draw(r, "reserve"),
			}
			if last.Granted > 0 && rapid.IntRange(0, 3).Draw(r, "back") == 0 {
				a.Back, a.ID = rapid.IntRange(0, last.Granted).Draw(r, "unused"), last.ID
			}
			request := newRequest(take, 1)
			request.add(l, "key", &a)
			got, err := request.run(client, shaOf(script))
			if err != nil {
				r.Fatal(err)
			}
			want := q.Do(shape, now, a)
			if !want.OK && !a.Reserve && kind == lease.Even {
				want.Worth = got[0].Worth // the model asks for at least a permit, the script only to reserve it
			}
			if got[0] != want {
				r.Fatalf("%+v at %v: got  %+v\nwant %+v", a, now, got[0], want)
			}
			last = want
		}
	})
}
