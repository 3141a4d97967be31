//go:build !race

// With the race detector a sync.Pool drops some of its values.

package requestid_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// grpc-go makes three allocations to keep the header, the echo itself none.
func TestEchoAllocations(t *testing.T) {
	if got := allocations(t, requestid.Config{}); got > 2+3 {
		t.Errorf("%v allocations, budget 5", got)
	}
}
