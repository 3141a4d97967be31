package keyed_test

import (
	"fmt"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
)

func Example() {
	limit, err := gcra.New(2, time.Minute, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A bucket is full again after a minute, so it may be forgotten then.
	users, err := keyed.New[gcra.Bucket](keyed.Config{MaxKeys: 100_000, Idle: time.Minute}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, user := range []string{"alice", "alice", "alice", "bob"} {
		fmt.Println(user, users.Get(user, 0).Allow(limit, 0, 1).OK)
	}
	// Output:
	// alice true
	// alice true
	// alice false
	// bob true
}
