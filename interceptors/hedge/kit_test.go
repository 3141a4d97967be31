package hedge_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

const (
	ms    = time.Millisecond
	delay = 100 * ms
)

// step is what the server does in one attempt.
type step struct {
	after    time.Duration // until the outcome; never if it is negative
	code     codes.Code
	pushback []string // of the trailer
	details  *status.Status
}

// never is an attempt without an outcome.
var never = step{after: -1}

// script is a server that follows its steps, one for each attempt; the last one for all further.
type script struct {
	hauberktest.Backend

	steps []step

	mu     sync.Mutex
	began  time.Time
	starts []time.Duration // of attempts
	ends   []error         // of the contexts of attempts that had no outcome
	asked  []string        // grpc-previous-rpc-attempts of attempts; "" for none
}

func scripted(steps ...step) *script {
	s := &script{steps: steps, began: time.Now()}
	s.Handle = s.handle
	return s
}

// start notes an attempt and returns its number.
func (s *script) start(ctx context.Context) (int, step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, time.Since(s.began))
	previous := metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts")
	s.asked = append(s.asked, append(previous, "")[0])
	n := len(s.starts)
	return n, s.steps[min(n, len(s.steps))-1]
}

func (s *script) handle(ctx context.Context, stream hauberktest.Stream) error {
	n, do := s.start(ctx)
	number := strconv.Itoa(n)
	trailer := metadata.Pairs("x-attempt", number)
	trailer.Append("grpc-retry-pushback-ms", do.pushback...)
	stream.SetTrailer(trailer)
	var outcome <-chan time.Time
	if do.after >= 0 {
		outcome = time.After(do.after)
	}
	select {
	case <-outcome:
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ends = append(s.ends, ctx.Err())
		return ctx.Err()
	}
	if do.details != nil {
		return do.details.Err()
	}
	if do.code != codes.OK {
		return status.Error(do.code, "attempt "+number)
	}
	if err := stream.SetHeader(metadata.Pairs("x-attempt", number)); err != nil {
		return err
	}
	return stream.Send(response(number))
}

// cancelled returns how many attempts were cancelled.
func (s *script) cancelled() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.ends {
		if err == context.Canceled { //nolint:errorlint // of a context of the server
			n++
		}
	}
	return n
}

// again lets the server follow other steps, from now on.
func (s *script) again(steps ...step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps, s.began, s.starts, s.ends, s.asked = steps, time.Now(), nil, nil, nil
}

func (s *script) wantStarts(t *testing.T, want ...time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	equal := len(s.starts) == len(want)
	for i := range want {
		equal = equal && s.starts[i] == want[i]
	}
	if !equal {
		t.Errorf("attempts started at %v; want %v", s.starts, want)
	}
}

func (s *script) wantCancelled(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	if got := s.cancelled(); got != want {
		t.Errorf("%d attempts were cancelled, want %d; %v", got, want, s.ends)
	}
}

// all returns an interceptor that hedges all methods: those of the test service are not marked as
// idempotent.
func all(config hedge.Config, opts ...hedge.Option) *hedge.Interceptor {
	config.AllMethods = true
	return hedge.New(config, opts...)
}

// hedged are the kinds of calls that are hedged.
var hedged = []hauberk.Kind{hauberk.Unary, hauberk.ServerStream}

// simulated runs a test for each kind that is hedged, in simulated time.
func simulated(t *testing.T, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range hedged {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			synctest.Test(t, func(t *testing.T) { test(t, kind) })
		})
	}
}

func start(t testing.TB, kind hauberk.Kind, s *script, interceptors ...hauberk.Interceptor) *hauberktest.Env {
	t.Helper()
	return hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, &s.Backend, interceptors...)
}

// call makes a call with the options of an application, and checks that its metadata are those of
// the attempt that answered.
func call(t *testing.T, env *hauberktest.Env, kind hauberk.Kind, opts ...grpc.CallOption) hauberktest.Outcome {
	t.Helper()
	return env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{Text: "x"}}, opts...)
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// wantWinner checks that everything the application got is of one attempt.
func wantWinner(t *testing.T, out hauberktest.Outcome, number string) {
	t.Helper()
	wantCode(t, out.Err, codes.OK)
	if texts := out.Texts(); len(texts) != 1 || texts[0] != number {
		t.Errorf("responses %q, want that of attempt %s", texts, number)
	}
	wantMetadata(t, out, number)
}

func wantMetadata(t *testing.T, out hauberktest.Outcome, number string) {
	t.Helper()
	for what, md := range map[string]metadata.MD{"trailer": out.Trailer, "header": out.Header} {
		if got := md.Get("x-attempt"); len(got) != 1 || got[0] != number {
			if what == "header" && out.Err != nil && len(got) == 0 {
				continue // Trailers-Only
			}
			t.Errorf("the %s is that of attempt %q, want %s", what, got, number)
		}
	}
}

func response(text string) *testpb.Response { return &testpb.Response{Text: text} }

// numbers is a list that concurrent attempts append to.
type numbers struct {
	mu  sync.Mutex
	all []int
}

func (n *numbers) add(number int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, number)
}

// sorted returns the list in ascending order.
func (n *numbers) sorted() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.all))
}
