package authnjwt

import (
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
