// Package pushback reads how long the server of a failed attempt asks the client to wait before
// the next one.
package pushback

import (
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Key is the key of gRFC A6 in the trailer: the wait before the next attempt in milliseconds,
// or a negative number for no further attempt.
const Key = "grpc-retry-pushback-ms"

// Asked is what the server of a failed attempt asked for.
type Asked struct {
	// Final is set if it asked for no further attempt: the value of Key is negative or
	// malformed, or there are several.
	Final bool
	// Has is set if the trailer has a good value of Key, and Pushback is that value.
	Has      bool
	Pushback time.Duration
	// Least is the greatest retry_delay of a google.rpc.RetryInfo in the details of the
	// status; 0 if there is none.
	Least time.Duration
}

// Read returns what the trailer and the status of an attempt ask for.
func Read(trailer metadata.MD, s *status.Status) (a Asked) {
	if values := trailer[Key]; len(values) > 0 {
		ms, err := strconv.ParseInt(values[0], 10, 32)
		if len(values) > 1 || err != nil || ms < 0 {
			return Asked{Final: true}
		}
		a.Pushback, a.Has = time.Duration(ms)*time.Millisecond, true
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().CheckValid() == nil {
			a.Least = max(a.Least, info.GetRetryDelay().AsDuration())
		}
	}
	return a
}

// Longest returns the longest wait that the server asked for.
func (a Asked) Longest() time.Duration { return max(a.Pushback, a.Least) }
