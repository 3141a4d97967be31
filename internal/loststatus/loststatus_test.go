package loststatus_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/loststatus"
)

func TestLost(t *testing.T) {
	for name, c := range map[string]struct {
		clientStreams bool
		attempts      int
		last, outcome codes.Code
		want          bool
	}{
		"lost":            {true, 2, codes.Unavailable, codes.OK, true},
		"one request":     {false, 2, codes.Unavailable, codes.OK, false},
		"one attempt":     {true, 1, codes.Unavailable, codes.OK, false},
		"OK":              {true, 2, codes.OK, codes.OK, false},
		"kept":            {true, 2, codes.Unavailable, codes.Unavailable, false},
		"another outcome": {true, 2, codes.Unavailable, codes.Internal, false},
	} {
		if got := loststatus.Lost(c.clientStreams, c.attempts, c.last, c.outcome); got != c.want {
			t.Errorf("%s: %t; want %t", name, got, c.want)
		}
	}
}
