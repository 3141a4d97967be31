package serviceconfig_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/internal/loststatus"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// tokensOf returns the tokens of grpc-go's throttling, or 0 without one. grpc-go has no accessor for them.
func tokensOf(t *testing.T, conn *grpc.ClientConn) float64 {
	t.Helper()
	field := reflect.ValueOf(conn).Elem().FieldByName("retryThrottler")
	if field.Type() != reflect.TypeFor[atomic.Value]() {
		t.Fatal("grpc-go has no field retryThrottler: find the tokens in another way")
	}
	throttler := reflect.ValueOf((*atomic.Value)(field.Addr().UnsafePointer()).Load())
	if throttler.IsNil() {
		return 0
	}
	return throttler.Elem().FieldByName("tokens").Float()
}

// theirs runs calls on a connection of grpc-go with a service config.
func theirs(t *testing.T, config string, calls []scriptedCall) (results []result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScripts()
		env := hauberktest.Start(t, hauberktest.Setup{
			Backend: &s.Backend, DialOptions: []grpc.DialOption{grpc.WithDefaultServiceConfig(config)},
		})
		for _, call := range calls {
			r := s.run(t, env.Client, call)
			r.tokens = tokensOf(t, env.Client)
			results = append(results, r)
		}
	})
	return results
}

// ours runs calls on a connection with the chain of a service config, which grpc-go receives the rest of.
func ours(t *testing.T, config string, calls []scriptedCall) (results []result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newScripts()
		parsed := parse(t, config)
		client := parsed.Client()
		chain := hauberk.Must(hauberk.New(client.All()...))
		env := hauberktest.Start(t, hauberktest.Setup{
			Backend: &s.Backend, DialOptions: chain.DialOptions(grpc.WithDefaultServiceConfig(parsed.Rest())),
		})
		for _, call := range calls {
			r := s.run(t, env.Client, call)
			r.tokens = client.Budget.Snapshot().Tokens
			results = append(results, r)
		}
	})
	return results
}

// compare returns what is different, apart from the random part of waits and the text of grpc-go for calls that have
// used up their attempts.
func compare(theirs, ours result) (differences []string) {
	differ := func(what string, theirs, ours any) {
		if !reflect.DeepEqual(theirs, ours) {
			differences = append(differences, fmt.Sprintf("%s: grpc-go %v, ours %v", what, theirs, ours))
		}
	}
	differ("code", theirs.code, ours.code)
	if !strings.HasPrefix(theirs.message, "max retries exhausted") || !strings.HasSuffix(theirs.message, ours.message) {
		differ("message", theirs.message, ours.message)
	}
	differ("responses", theirs.responses, ours.responses)
	differ("header", theirs.header, ours.header)
	differ("trailer", theirs.trailer, ours.trailer)
	differ("attempts", len(theirs.attempts), len(ours.attempts))
	if math.Abs(theirs.tokens-ours.tokens) > 1e-6 {
		differ("tokens", theirs.tokens, ours.tokens)
	}
	for i := range min(len(theirs.attempts), len(ours.attempts)) {
		a, b := theirs.attempts[i], ours.attempts[i]
		what := fmt.Sprintf("attempt %d: ", i+1)
		differ(what+"previous", a.previous, b.previous)
		differ(what+"requests", a.requests, b.requests)
		differ(what+"deadline", a.deadline, b.deadline)
		if i > 0 && !similar(a.start-theirs.attempts[i-1].start, b.start-ours.attempts[i-1].start) {
			differ(what+"starts", a.start, b.start)
		}
	}
	return differences
}

// similar reports whether two waits differ by their random part only: each is from 0.8 to 1.2 times the backoff, with
// the same time of the attempt before it in both.
func similar(a, b time.Duration) bool {
	low, high := min(a, b), max(a, b)
	return float64(high) <= float64(low)*1.5+1e6
}

// TestDifferential: with a service config the chain and grpc-go make the same attempts of calls, at the same time,
// with the same metadata, the same outcome and the same throttling.
func TestDifferential(t *testing.T) {
	var seen coverage
	random := testseed.Rand(t, 0)
	for client := range 400 {
		config := randomConfig(random)
		calls := make([]scriptedCall, 10)
		for i := range calls {
			calls[i] = randomCall(random)
		}
		a, b := theirs(t, config, calls), ours(t, config, calls)
		for i := range calls {
			if lostStatus(calls[i], a[i]) {
				break // the tokens of the two clients differ from here on
			}
			if differences := compare(a[i], b[i]); len(differences) > 0 {
				t.Errorf("client %d, call %d, %+v\n%s\n%s", client, i, calls[i], config, strings.Join(differences, "\n"))
				break
			}
			seen.add(calls[i], b[i])
		}
		if t.Failed() {
			return
		}
	}
	seen.check(t)
}

// lostStatus reports whether grpc-go has lost the status of a call.
func lostStatus(call scriptedCall, theirs result) bool {
	n := len(theirs.attempts)
	return 0 < n && n <= len(call.steps) &&
		loststatus.Lost(call.kind.ClientStreams(), n, call.steps[n-1].code, theirs.code)
}

// coverage is how often calls of each kind did what the comparison is about.
type coverage [4]struct{ calls, retried, exhausted, committed, final, throttled int }

func (c *coverage) add(call scriptedCall, r result) {
	of := &c[call.kind]
	of.calls++
	n := len(r.attempts)
	if n > 1 {
		of.retried++
	}
	if n > 4 {
		of.exhausted++
	}
	if n > len(call.steps) {
		return
	}
	last := call.steps[n-1]
	if r.code == codes.Unavailable && last.header != "" {
		of.committed++
	}
	if r.code == codes.Unavailable && len(last.pushback) > 1 {
		of.final++
	}
	if r.code == codes.Unavailable && n == 1 && last.header == "" && r.tokens > 0 && r.tokens < 3 {
		of.throttled++
	}
}

// check holds that the calls of each kind did everything.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	for kind, of := range c {
		if of.calls < 700 || of.retried < 100 || of.exhausted < 5 || of.committed < 10 || of.final < 3 || of.throttled < 1 {
			t.Errorf("kind %v: %+v: the scripts cover too little", hauberk.Kind(kind), of)
		}
	}
}
