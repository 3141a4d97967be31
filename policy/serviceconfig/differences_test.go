package serviceconfig_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

const (
	retriesOf = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s",
		"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE", "DEADLINE_EXCEEDED"]}}], "retryThrottling": {"maxTokens": 10, "tokenRatio": 1}}`
	hedgesOf = `{"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "1s"}}]}`
)

// all and singles are kinds of calls, the latter those with one request.
var (
	all     = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
	singles = []hauberk.Kind{hauberk.Unary, hauberk.ServerStream}
	streams = []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi}
)

// differences are the intended differences of the chain from grpc-go. The documentation of the package lists them.
var differences = []struct {
	name         string
	config       string
	kinds        []hauberk.Kind
	call         scriptedCall
	theirs, ours string
}{
	{
		"the message of the last attempt", retriesOf, all,
		// It reads the request: grpc-go loses statuses that arrive while it sends the requests again.
		scriptedCall{steps: []step{{code: codes.Unavailable}, {reads: 1, code: codes.Unavailable}}},
		"Unavailable (max retries exhausted: failed after 2 attempts: rpc error: code = Unavailable desc = attempt 2) by 2 after 1s, 8 tokens",
		"Unavailable (attempt 2) by 2 after 1s, 8 tokens",
	},
	{
		"no wait beyond the deadline", retriesOf, all,
		scriptedCall{deadline: 500 * ms, steps: []step{{code: codes.Unavailable}}},
		"DeadlineExceeded () by 1 after 500ms, 9 tokens",
		"Unavailable (attempt 1) by 1 after 0s, 9 tokens",
	},
	{
		// For streams it depends on the schedule whether grpc-go takes one.
		"no token for the deadline", retriesOf,
		[]hauberk.Kind{hauberk.Unary},
		scriptedCall{deadline: 500*ms + 300, steps: []step{{takes: time.Hour}}}, // the server receives 500.001 ms
		"DeadlineExceeded () by 1 after 500ms, 9 tokens",
		"DeadlineExceeded () by 1 after 500ms, 10 tokens",
	},
	{
		"RetryInfo", retriesOf, all,
		scriptedCall{steps: []step{{code: codes.Unavailable, info: 10 * time.Second}}},
		"OK () by 2 after 1s, 10 tokens",
		"OK () by 2 after 10s, 10 tokens",
	},
	{
		"a pushback that is malformed in gRFC A6", retriesOf, all,
		scriptedCall{steps: []step{{code: codes.Unavailable, pushback: []string{"2147483648"}}}},
		"OK () by 2 after 2147484s, 10 tokens",
		"Unavailable (attempt 1) by 1 after 0s, 9 tokens",
	},
	{
		"previous attempts of the application", retriesOf, all,
		scriptedCall{previous: "7", steps: []step{{code: codes.Unavailable}}},
		"OK () by 2 after 1s, 10 tokens, previous 7|1,7",
		"OK () by 2 after 1s, 10 tokens, previous 7|1",
	},
	{
		"a large request", retriesOf, singles,
		scriptedCall{size: 300 << 10, steps: []step{{code: codes.Unavailable}}},
		"Unavailable (attempt 1) by 1 after 0s, 10 tokens",
		"OK () by 2 after 1s, 10 tokens",
	},
	{
		"many small requests", retriesOf, streams,
		scriptedCall{sends: 5000, steps: []step{{reads: 5000, code: codes.Unavailable}}},
		"OK () by 2 after 1s, 10 tokens",
		"Unavailable (attempt 1) by 1 after 0s, 10 tokens",
	},
	{
		"grpc.MaxRetryRPCBufferSize", retriesOf, all,
		scriptedCall{size: 100, opts: []grpc.CallOption{grpc.MaxRetryRPCBufferSize(50)}, steps: []step{{reads: 1, code: codes.Unavailable}}},
		"Unavailable (attempt 1) by 1 after 0s, 10 tokens",
		"OK () by 2 after 1s, 10 tokens",
	},
	{
		"hedgingPolicy", hedgesOf, singles,
		scriptedCall{steps: []step{{takes: time.Hour}}},
		"OK () by 1 after 3600s, 0 tokens",
		"OK () by 2 after 1s, 0 tokens",
	},
}

// summary describes a result, with times of the order of a second in seconds.
func (r *result) summary() string {
	took := r.took
	if r.code == codes.DeadlineExceeded {
		r.message, took = "", took.Round(ms)
	}
	switch {
	case took > 2*time.Hour || took >= 100*time.Hour:
		took = took.Truncate(time.Second) + time.Second
	case took > 700*ms && took < 1300*ms:
		took = time.Second // with jitter
	case took > 9*time.Second && took < 13*time.Second:
		took = 10 * time.Second // with jitter
	}
	text := fmt.Sprintf("%v (%s) by %d after %s, %v tokens", r.code, r.message, len(r.attempts), seconds(took), math.Round(r.tokens*10)/10)
	previous := make([]string, 0, len(r.attempts))
	for _, a := range r.attempts {
		previous = append(previous, a.previous)
	}
	if joined := strings.Join(previous, "|"); strings.Contains(joined, "7") {
		text += ", previous " + joined
	}
	return text
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return d.String()
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// TestDifferences holds what differs, on purpose, between the chain and grpc-go.
func TestDifferences(t *testing.T) {
	for _, d := range differences {
		t.Run(d.name, func(t *testing.T) {
			for _, kind := range d.kinds {
				call := d.call
				call.kind, call.sends = kind, max(call.sends, 1)
				theirs, ours := theirs(t, d.config, []scriptedCall{call}), ours(t, d.config, []scriptedCall{call})
				if got := theirs[0].summary(); got != d.theirs {
					t.Errorf("%v: grpc-go: %s\nwant %s", kind, got, d.theirs)
				}
				if got := ours[0].summary(); got != d.ours {
					t.Errorf("%v: ours: %s\nwant %s", kind, got, d.ours)
				}
			}
		})
	}
}

// TestRounding: tokens are exact in thousandths, as gRFC A6 has them. Those of grpc-go have the errors of floating
// point, which can be what allows another attempt.
func TestRounding(t *testing.T) {
	config := strings.Replace(retriesOf, `"maxTokens": 10, "tokenRatio": 1`, `"maxTokens": 3, "tokenRatio": 0.1`, 1)
	down := scriptedCall{sends: 1, steps: []step{{code: codes.Unavailable, pushback: []string{"-1"}}}}
	calls := []scriptedCall{down, {}, {}, {}, {}, {}, {steps: []step{{code: codes.Unavailable}}}}
	a, b := theirs(t, config, calls)[6], ours(t, config, calls)[6]
	if len(a.attempts) != 2 || a.tokens <= 1.6 || len(b.attempts) != 1 || b.tokens != 1.5 {
		t.Errorf("grpc-go %s, ours %s", a.summary(), b.summary())
	}
}

// TestHedgedStreams: methods that stream their requests are not hedged, and count for throttling.
func TestHedgedStreams(t *testing.T) {
	config := strings.TrimSuffix(hedgesOf, "}") + `, "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5}}`
	for _, kind := range streams {
		down := scriptedCall{kind: kind, steps: []step{{takes: time.Hour, code: codes.Unavailable, pushback: []string{"-1"}}}}
		results := ours(t, config, []scriptedCall{down, {kind: kind}})
		if a, b := results[0], results[1]; len(a.attempts) != 1 || a.tokens != 9 || b.code != codes.OK || b.tokens != 9.5 {
			t.Errorf("%v: %+v", kind, results)
		}
	}
}

// TestCallerPushback: a call of a handler that was retried in vain asks the client of the handler not to retry. That of
// grpc-go does not.
func TestCallerPushback(t *testing.T) {
	parsed := parse(t, retriesOf)
	chain := hauberk.Must(hauberk.New(parsed.Client().All()...))
	for want, dial := range map[string][]grpc.DialOption{
		"":   {grpc.WithDefaultServiceConfig(retriesOf)},
		"-1": chain.DialOptions(grpc.WithDefaultServiceConfig(parsed.Rest())),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScripts()
			s.begin(scriptedCall{steps: []step{{code: codes.Unavailable}, {code: codes.Unavailable}}})
			inner := hauberktest.Start(t, hauberktest.Setup{Backend: &s.Backend, DialOptions: dial})
			front := hauberktest.Start(t, hauberktest.Setup{Backend: &hauberktest.Backend{
				Handle: func(ctx context.Context, _ hauberktest.Stream) error {
					return inner.Client.Invoke(ctx, hauberktest.FullMethod(hauberk.Unary), &testpb.Request{}, new(testpb.Response))
				},
			}})
			out := front.Call(t.Context())
			if got := strings.Join(out.Trailer.Get("grpc-retry-pushback-ms"), ","); got != want || len(s.attempts) != 2 {
				t.Errorf("pushback %q after %d attempts, want %q; %v", got, len(s.attempts), want, out.Err)
			}
		})
	}
}
