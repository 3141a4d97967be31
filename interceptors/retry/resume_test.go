package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// numbers is a backend that sends the numbers from that of the request up to total. breaks returns
// after how many of them an attempt fails with UNAVAILABLE; a negative number is never.
func numbers(total int, breaks func(attempt int) int) *backend {
	b := &backend{}
	b.Handle = func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		left := breaks(int(b.calls.Add(1)))
		from, _ := strconv.Atoi(req.GetText())
		for i := from; i < total; i, left = i+1, left-1 {
			if left == 0 {
				break
			}
			if err := s.Send(&testpb.Response{Index: int32(i)}); err != nil {
				return err
			}
		}
		if left == 0 {
			return status.Error(codes.Unavailable, "broken")
		}
		return nil
	}
	return b
}

// after asks for the numbers after the last.
func after(_ *hauberk.Method, request, last proto.Message) (proto.Message, error) {
	req, _ := request.(*testpb.Request)
	if last, ok := last.(*testpb.Response); ok {
		req.Text = strconv.Itoa(int(last.GetIndex()) + 1)
	}
	return req, nil
}

func wantNumbers(t *testing.T, out hauberktest.Outcome, from, to int) {
	t.Helper()
	var got, want []int
	for _, r := range out.Responses {
		got = append(got, int(r.GetIndex()))
	}
	for i := from; i < to; i++ {
		want = append(want, i)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

func resuming(config retry.Config, resume retry.ResumeFunc) *retry.Interceptor {
	return all(config, retry.WithSleep((&waits{}).sleep), retry.WithResume(resume))
}

// ofGRPC returns an interceptor of grpc-go.
func ofGRPC() hauberk.Interceptor {
	return hauberk.FromClient(hauberk.PassUnaryClient, func(
		ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		return open(ctx, desc, cc, method, opts...)
	})
}

// TestResume: a stream that breaks at random points has no gap and no duplicate, however often.
func TestResume(t *testing.T) {
	const total = 200
	pass := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(any) (bool, error) { return true, nil })
		call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
		return next(ctx, call)
	})
	grpcs := ofGRPC()
	outer := all(retry.Config{MaxAttempts: 9, NoBudget: true}, retry.WithSleep((&waits{}).sleep))
	for name, around := range map[string]func(r *retry.Interceptor) []hauberk.Interceptor{
		"alone":              func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{r} },
		"inside hooks":       func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{pass, r} },
		"around hooks":       func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{r, pass} },
		"between hooks":      func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{pass, r, pass} },
		"inside of a retry":  func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{outer, r} },
		"around another one": func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{r, outer} },
		"around grpc-go's":   func(r *retry.Interceptor) []hauberk.Interceptor { return []hauberk.Interceptor{r, grpcs} },
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			random := testseed.Rand(t, 1)
			for range 20 {
				b := numbers(total, func(int) int { return random.IntN(40) - 4 })
				config := retry.Config{MaxAttempts: 9, NoBudget: true}
				out := start(t, hauberk.ServerStream, b, around(resuming(config, after))...).Call(t.Context(), "0")
				wantCode(t, out.Err, codes.OK)
				wantNumbers(t, out, 0, total)
			}
		})
	}
}

// TestResumeInsideFails: when the resuming interceptor gives up, an outer retry does not begin again.
func TestResumeInsideFails(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b := numbers(9, func(attempt int) int { return map[int]int{1: 3}[attempt] })
	outer := all(retry.Config{}, retry.WithSleep((&waits{}).sleep))
	out := start(t, hauberk.ServerStream, b, outer, resuming(retry.Config{MaxAttempts: 3}, after)).Call(t.Context(), "0")
	wantCode(t, out.Err, codes.Unavailable)
	wantNumbers(t, out, 0, 3)
	wantCalls(t, b, 3)
}

// TestResumeLimits: attempts without a message count, those with one begin anew. They do not need the
// budget if they have run for MaxBackoff, and otherwise they do, and the backoff grows.
func TestResumeLimits(t *testing.T) {
	const long, short, ms = retry.DefaultMaxBackoff, retry.DefaultMaxBackoff - 1, time.Millisecond
	for _, c := range []struct {
		name   string
		runs   time.Duration // each attempt
		breaks []int         // after how many messages the attempts fail
		want   int64
		to     int
		code   codes.Code
		waits  []time.Duration
	}{
		{"no progress", long, []int{2, 0, 0, 0}, 3, 2, codes.Unavailable, []time.Duration{100 * ms, 200 * ms}},
		{"progress", long, []int{1, 1, 1, 1, 1, 1, 1}, 8, 9, codes.OK, slices.Repeat([]time.Duration{100 * ms}, 7)},
		{"short progress", short, []int{1, 1, 1, 1, 1}, 4, 4, codes.Unavailable, []time.Duration{100 * ms, 200 * ms, 400 * ms}},
		{"both", long, []int{1, 0, 1, 0, 1, 0, -1}, 7, 9, codes.OK, slices.Repeat([]time.Duration{100 * ms, 200 * ms}, 3)},
		{"from the beginning", short, []int{0, 0, -1}, 3, 9, codes.OK, []time.Duration{100 * ms, 200 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			synctest.Test(t, func(t *testing.T) {
				b := numbers(9, func(attempt int) int {
					<-time.After(c.runs)
					if attempt > len(c.breaks) {
						return -1
					}
					return c.breaks[attempt-1]
				})
				w := &waits{}
				r := all(retry.Config{NoJitter: true}, retry.WithSleep(w.sleep), retry.WithResume(after),
					retry.WithBudget(retrybudget.New(retrybudget.Config{Reserve: 3})))
				out := start(t, hauberk.ServerStream, b, r).Call(t.Context(), "0")
				wantCode(t, out.Err, c.code)
				wantNumbers(t, out, 0, c.to)
				wantCalls(t, b, c.want)
				if !slices.Equal(w.all, c.waits) {
					t.Errorf("waited %v, want %v", w.all, c.waits)
				}
			})
		})
	}
}

// TestNotResumed: what the function returns instead of a request ends the call, with the error of the
// stream. Calls that are not retried are not resumed.
func TestNotResumed(t *testing.T) {
	errNo := errors.New("cannot go on")
	for _, c := range []struct {
		name   string
		config retry.Config
		resume retry.ResumeFunc
		want   string
		cause  error
	}{
		{"an error", retry.Config{}, func(*hauberk.Method, proto.Message, proto.Message) (proto.Message, error) {
			return nil, errNo
		}, "cannot go on", errNo},
		{"nil", retry.Config{}, func(*hauberk.Method, proto.Message, proto.Message) (proto.Message, error) {
			return nil, nil
		}, "a request of type <nil>", nil},
		{"a typed nil", retry.Config{}, func(*hauberk.Method, proto.Message, proto.Message) (proto.Message, error) {
			return (*testpb.Request)(nil), nil
		}, "a nil *testpb.Request", nil},
		{"another type", retry.Config{}, func(*hauberk.Method, proto.Message, proto.Message) (proto.Message, error) {
			return &emptypb.Empty{}, nil
		}, "a request of type *emptypb.Empty", nil},
		{"retries turned off", retry.Config{MaxAttempts: 1}, after, "broken", nil},
		{"another code", retry.Config{RetryableStatusCodes: []codes.Code{codes.Aborted}}, after, "broken", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			b := numbers(9, func(int) int { return 3 })
			out := start(t, hauberk.ServerStream, b, resuming(c.config, c.resume)).Call(t.Context(), "0")
			wantCode(t, out.Err, codes.Unavailable)
			wantNumbers(t, out, 0, 3)
			wantCalls(t, b, 1)
			if out.Err == nil || !strings.Contains(out.Err.Error(), c.want) || c.cause != nil && !errors.Is(out.Err, c.cause) {
				t.Errorf("got %v, want %q in it", out.Err, c.want)
			}
		})
	}
	if _, err := hauberk.New(retry.New(retry.Config{}, retry.WithResume(nil))); err == nil {
		t.Error("a nil function was accepted")
	}
}

// TestNotResumedInsideFromClient: a stream that an interceptor of grpc-go has opened is its own.
func TestNotResumedInsideFromClient(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b := numbers(9, func(int) int { return 3 })
	out := start(t, hauberk.ServerStream, b, ofGRPC(), resuming(retry.Config{}, after)).Call(t.Context(), "0")
	wantCode(t, out.Err, codes.Unavailable)
	wantNumbers(t, out, 0, 3)
	wantCalls(t, b, 1)
}

// TestResumeCancelled: a caller that cancels between two attempts gets CANCELLED.
func TestResumeCancelled(t *testing.T) {
	hauberktest.CheckLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	sleep := func(ctx context.Context, _ time.Duration) error {
		cancel()
		return retry.Sleep(ctx, time.Hour)
	}
	b := numbers(9, func(int) int { return 3 })
	out := start(t, hauberk.ServerStream, b, all(retry.Config{}, retry.WithSleep(sleep), retry.WithResume(after))).Call(ctx, "0")
	wantCode(t, out.Err, codes.Canceled)
	wantNumbers(t, out, 0, 3)
}

// TestResumeRules: Call.Resume only goes on where it can.
func TestResumeRules(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		x := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if call.CanResume() || call.Resume(&testpb.Request{}) == nil {
				t.Error("a call can be resumed before next")
			}
			err := next(ctx, call)
			if got, want := call.CanResume(), kind == hauberk.ServerStream && err != nil; got != want {
				t.Errorf("after %v: CanResume is %t, want %t", err, got, want)
			}
			wantCode(t, call.Resume(nil), codes.Internal)
			return err
		})
		for _, code := range []codes.Code{codes.OK, codes.Unavailable} {
			wantCode(t, start(t, kind, failing(int64(code), code), x).Call(t.Context()).Err, code)
		}
	})
}
