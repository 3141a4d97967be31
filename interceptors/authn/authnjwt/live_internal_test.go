package authnjwt

import (
	"crypto/ed25519"
	"fmt"
	"runtime"
	"testing"
)

// TestLiveTokens: tokens whose channel something refers to are found and revoked after collections of
// garbage, and the others are removed.
func TestLiveTokens(t *testing.T) {
	var live liveTokens
	held := make(map[string]<-chan struct{})
	for i := range 100_000 {
		n := names{jti: fmt.Sprint(i)}
		revoked := live.add(n)
		if i%1000 == 0 {
			held[n.jti] = revoked
		}
	}
	runtime.GC()
	live.add(names{})
	for len(live.tokens) < live.prune {
		live.add(names{})
	}
	runtime.GC()
	live.add(names{})
	if n := len(live.tokens); n > 2*len(held)+64 {
		t.Errorf("%d tokens are live; want about %d", n, len(held))
	}
	for range 2 {
		for _, token := range live.all() {
			token.revoke()
		}
	}
	for jti, revoked := range held {
		select {
		case <-revoked:
		default:
			t.Fatalf("the token %s is in use, and not revoked", jti)
		}
	}
}

// TestWaitingIsUse: a goroutine that waits for a revocation keeps its channel.
func TestWaitingIsUse(t *testing.T) {
	var live liveTokens
	done := make(chan struct{})
	go func(revoked <-chan struct{}) {
		<-revoked
		close(done)
	}(live.add(names{}))
	for range 3 {
		runtime.GC()
	}
	for _, token := range live.all() {
		token.revoke()
	}
	<-done
}

// TestUnusedValidators: a list does not keep validators that the program has discarded, and refers to their
// tokens while something else does.
func TestUnusedValidators(t *testing.T) {
	list := new(Revocations)
	opened := func() *Validator {
		v := New(Config{Issuer: "i", Audiences: []string{"a"}, Algorithms: []string{"EdDSA"}},
			WithPublicKeys(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()), WithRevocations(list))
		if err := v.Err(); err != nil {
			t.Fatal(err)
		}
		return v
	}
	var used verified
	for i := range 100 {
		v := opened()
		if i == 50 {
			used.names = names{jti: "1"}
			if err := v.admit(&used); err != nil {
				t.Fatal(err)
			}
		}
		v.Close()
	}
	last := opened()
	for range 3 {
		runtime.GC()
	}
	if err := list.Revoke(Revocation{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if n := len(list.watchers); n != 2 || !used.isRevoked() {
		t.Errorf("the list has %d watchers, the token is revoked: %t; want those of 2 validators, true", n, used.isRevoked())
	}
	runtime.KeepAlive(last)
}
