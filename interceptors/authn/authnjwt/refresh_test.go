package authnjwt_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// beginnings records when requests begin.
type beginnings struct {
	mu   sync.Mutex
	list []time.Time
}

func (b *beginnings) of(answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		b.mu.Lock()
		b.list = append(b.list, time.Now())
		b.mu.Unlock()
		return answer(r)
	}
}

// take returns the times since the last call, and the shortest time between two of them.
func (b *beginnings) take() (list []time.Time, shortest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.list = b.list, nil
	shortest = time.Duration(1<<63 - 1)
	for i := 1; i < len(list); i++ {
		shortest = min(shortest, list[i].Sub(list[i-1]))
	}
	return list, shortest
}

// TestOneTimer: however many fetches calls have begun, there is one refresh each Interval, and two fetches
// never begin within MinInterval.
func TestOneTimer(t *testing.T) {
	for _, unknown := range []int{0, 1, 57} {
		for name, took := range map[string]time.Duration{"fast": 0, "slow": 4 * time.Second} {
			t.Run(fmt.Sprint(unknown, " unknown keys, ", name), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *web) {
					var begun beginnings
					w.set(begun.of(slowly(took, answers(200, setOf("1")))))
					v := validator(t, fromURL(), w.option())
					accepts(t, v, long(edKey(), "1"))
					for i := range unknown {
						wait(31700 * time.Millisecond)
						rejects(t, v, long(edKey2(), fmt.Sprint("bad", i)), authnjwt.ErrUnknownKey)
					}
					if _, shortest := begun.take(); shortest < 30*time.Second {
						t.Errorf("two fetches began within %v; want at least MinInterval, 30s", shortest)
					}
					wait(10 * time.Hour)
					list, shortest := begun.take()
					if n := len(list); n < 117 || n > 134 || shortest < 270*time.Second {
						t.Errorf("%d fetches in 10 hours without calls, two within %v; want one in 4.5m to 5m", n, shortest)
					}
					v.Close()
					wait(time.Hour)
					if list, _ := begun.take(); len(list) > 0 {
						t.Errorf("%d fetches after Close", len(list))
					}
				})
			})
		}
	}
}

// TestNoKeysYet: while there are no keys, the fetch is made again after about a second, and then ever
// later up to MinInterval, with and without calls. Keys that come back are used at once.
func TestNoKeysYet(t *testing.T) {
	for name, calls := range map[string]bool{"calls": true, "no calls": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				var begun beginnings
				w.set(begun.of(failing))
				v := validator(t, fromURL(), w.option())
				_, _ = v.Validate(t.Context(), long(edKey(), "1"))
				for range 600 {
					wait(time.Second / 2)
					if calls {
						rejects(t, v, long(edKey(), "1"), authnjwt.ErrKeys)
					}
				}
				list, shortest := begun.take()
				if least := 800 * time.Millisecond; shortest < least {
					t.Errorf("two fetches began within %v; want at least %v", shortest, least)
				}
				for i := 1; i < len(list); i++ {
					delay := min(time.Second<<min(i-1, 10), 30*time.Second)
					if got := list[i].Sub(list[i-1]); got < delay*8/10 || got > delay*12/10 {
						t.Errorf("fetch %d began after %v; want about %v", i+1, got, delay)
					}
				}
				w.set(answers(200, setOf("1")))
				wait(36 * time.Second)
				accepts(t, v, long(edKey(), "1"))
			})
		})
	}
	bubble(t, func(t *testing.T, w *web) {
		w.set(failing)
		v := validator(t, fromURL(), w.option())
		rejects(t, v, long(edKey(), "1"), authnjwt.ErrKeys)
		w.set(answers(200, setOf("1")))
		wait(1200 * time.Millisecond)
		accepts(t, v, long(edKey(), "1"))
	})
}

// TestUnknownKeyFlood: a flood of tokens by unknown keys causes one fetch each MinInterval, holds few
// calls, and leaves good tokens alone: with unknown "kid"s, also if the set of keys is empty, and with
// the "kid" of a key or none.
func TestUnknownKeyFlood(t *testing.T) {
	noID := func(i int) string {
		c := claims(time.Now()).with(object{"jti": fmt.Sprint(i)})
		return signed("EdDSA", edKey2(), object{"alg": "EdDSA"}.String(), c.String())
	}
	byNumber := func(i int) string { return long(edKey2(), fmt.Sprint("unknown ", i%2000)) }
	for name, test := range map[string]struct {
		ids    []string // of the good key
		forged func(i int) string
		reject error
	}{
		"keys":          {[]string{"1"}, byNumber, authnjwt.ErrUnknownKey},
		"no keys":       {nil, byNumber, authnjwt.ErrUnknownKey},
		"the same kid":  {[]string{"1"}, func(int) string { return long(edKey2(), "1") }, authnjwt.ErrSignature},
		"without a kid": {[]string{"1"}, noID, authnjwt.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				w.set(slowly(2*time.Second, answers(200, setOf(test.ids...))))
				v := validator(t, fromURL(), w.option())
				_, _ = v.Validate(t.Context(), long(edKey(), "1"))
				start := time.Now()
				var mu sync.Mutex
				waited := 0
				var group sync.WaitGroup
				for i := range 3000 {
					forged := test.forged(i)
					group.Go(func() {
						begun := time.Now()
						if _, err := v.Validate(t.Context(), forged); !errors.Is(err, test.reject) {
							t.Error(err)
						}
						if time.Since(begun) > 0 {
							mu.Lock()
							defer mu.Unlock()
							waited++
						}
					})
					if test.ids != nil && i%10 == 0 {
						begun := time.Now()
						accepts(t, v, long(edKey(), "1"))
						if took := time.Since(begun); took != 0 {
							t.Errorf("a good token waited %v", took)
						}
					}
					wait(20 * time.Millisecond)
				}
				group.Wait()
				most := int(time.Since(start)/(30*time.Second)) + 1
				if w.requests() > most || w.highest != 1 || waited > 64*most {
					t.Errorf("%d requests, %d at once, %d calls waited; want up to %d, 1 and %d", w.requests(), w.highest, waited, most, 64*most)
				}
			})
		})
	}
}

// TestRotationWithoutNewID: keys that are rotated without a new "kid" are fetched when the first token by
// the new key comes, once MinInterval has passed. The call waits for that and is accepted.
func TestRotationWithoutNewID(t *testing.T) {
	sign := func(algorithm string, key any, id object) string {
		return signed(algorithm, key, object{"alg": algorithm}.with(id).String(), claims(time.Now()).String())
	}
	for name, test := range map[string]struct {
		id        object
		public    any
		key       any
		algorithm string
	}{
		"no kid":                      {nil, edKey2().Public(), edKey2(), "EdDSA"},
		"no kid, another algorithm":   {nil, p256().Public(), p256(), "ES256"},
		"the same":                    {object{"kid": "1"}, edKey2().Public(), edKey2(), "EdDSA"},
		"the same, another algorithm": {object{"kid": "1"}, p256().Public(), p256(), "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				c := fromURL()
				c.Algorithms = []string{"EdDSA", "ES256"}
				w.set(answers(200, jwks(jwk(edKey().Public(), test.id)), "Cache-Control", "max-age=3600"))
				v := validator(t, c, w.option())
				old := sign("EdDSA", edKey(), test.id)
				accepts(t, v, old)
				w.set(slowly(time.Second, answers(200, jwks(jwk(test.public, test.id)), "Cache-Control", "max-age=3600")))
				rejects(t, v, sign(test.algorithm, test.key, test.id), authn.ErrInvalidToken) // within MinInterval
				wait(30 * time.Second)
				start := time.Now()
				accepts(t, v, sign(test.algorithm, test.key, test.id))
				if took := time.Since(start); took != time.Second || w.requests() != 2 {
					t.Errorf("the call waited %v, for %d requests; want for the second", took, w.requests())
				}
				rejects(t, v, old, authn.ErrInvalidToken)
				// A token that no fetch makes good asks for one each MinInterval.
				for i, want := range []int{2, 3, 3} {
					wait(15 * time.Second)
					rejects(t, v, old, authn.ErrInvalidToken)
					if w.requests() != want {
						t.Errorf("%d requests after forged token %d; want %d", w.requests(), i+1, want)
					}
				}
			})
		})
	}
}

// TestPublishedLate: the tokens of a key that is published just after it was looked for are accepted once
// MinInterval has passed, also if untrusted callers ask for the key all the time.
func TestPublishedLate(t *testing.T) {
	third := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	for name, test := range map[string]struct {
		goodID, forgedID string
		good, forges     ed25519.PrivateKey
		set              string
	}{
		"a new kid":   {"2", "2", edKey(), edKey2(), setOf("1", "2")},
		"a known kid": {"1", "1", edKey2(), third, jwks(jwk(edKey2().Public(), object{"kid": "1"}))},
		"other kids":  {"2", "3", edKey(), edKey2(), setOf("1", "2")},
	} {
		for _, byGood := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", by its own token ", byGood), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *web) {
					good, forged := long(test.good, test.goodID), long(test.forges, test.forgedID)
					first := forged
					if byGood {
						first = good
					}
					w.set(answers(200, setOf("1"), "Cache-Control", "max-age=3600"))
					v := validator(t, fromURL(), w.option())
					accepts(t, v, long(edKey(), "1"))
					wait(40 * time.Second)
					rejects(t, v, first, authn.ErrInvalidToken)
					w.set(answers(200, test.set, "Cache-Control", "max-age=3600"))
					for start := time.Now(); ; wait(time.Second) {
						_, _ = v.Validate(t.Context(), forged)
						_, err := v.Validate(t.Context(), good)
						if took := time.Since(start); err == nil && took == 30*time.Second {
							break
						} else if err == nil || took > time.Minute {
							t.Fatalf("accepted after %v (%v), with %d requests; want 30s", took, err, w.requests())
						}
					}
				})
			})
		}
	}
}
