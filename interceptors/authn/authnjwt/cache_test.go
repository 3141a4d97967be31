package authnjwt_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// TestCache: a token is verified once until it expires, and each time without a cache.
func TestCache(t *testing.T) {
	clock := hauberktest.NewClock()
	text := token(claims(clock.Now()))
	c := config()
	c.Leeway = time.Minute
	v := validator(t, c, edKeys(), authnjwt.WithClock(clock.Now))
	id := accepts(t, v, text)
	clock.Advance(time.Hour + time.Minute - 1)
	if accepts(t, v, text) != id {
		t.Error("the token was verified again")
	}
	clock.Advance(1)
	rejects(t, v, text, authn.ErrTokenExpired)

	c.CachedTokens = -1
	clock = hauberktest.NewClock()
	v = validator(t, c, edKeys(), authnjwt.WithClock(clock.Now))
	if first, second := accepts(t, v, text), accepts(t, v, text); first == second {
		t.Error("the token was verified once")
	}
}

// TestCacheIsBounded: however many tokens there are, one in use is verified once.
func TestCacheIsBounded(t *testing.T) {
	c := config()
	c.CachedTokens = 10
	var list authnjwt.Revocations
	v := validator(t, c, edKeys(), authnjwt.WithRevocations(&list))
	text := token(claims(time.Now()))
	id := accepts(t, v, text)
	for i := range 1000 {
		accepts(t, v, token(claims(time.Now()).with(object{"sub": fmt.Sprint(i)})))
		if accepts(t, v, text) != id {
			t.Fatalf("the token in use was displaced after %d others", i)
		}
	}
}

// TestConcurrent: calls, rotations and revocations run concurrently (for the race detector).
func TestConcurrent(t *testing.T) {
	w := new(web)
	w.set(answers(200, setOf("1", "2"), "Cache-Control", "max-age=0"))
	c := fromURL()
	c.Refresh.MinInterval = time.Nanosecond
	var list authnjwt.Revocations
	v := validator(t, c, w.option(), authnjwt.WithRevocations(&list))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				_, _ = v.Validate(t.Context(), long(edKey(), fmt.Sprint(j%4)))
				if i == 0 {
					w.set(answers(200, setOf(fmt.Sprint(j%3))))
				}
				if i == 1 {
					_ = list.Revoke(authnjwt.Revocation{ID: fmt.Sprint(j)})
				}
			}
		})
	}
	group.Wait()
}
