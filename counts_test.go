package hauberk_test

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// twice is a backend that reads all requests. The first attempt then sends the messages of first and fails, the
// second one sends those of second. A method with one response fails, and then answers.
func twice(kind hauberk.Kind, first, second []string) *hauberktest.Backend {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for err := error(nil); err == nil; {
			_, err = s.Recv()
		}
		texts, failure := first, status.Error(codes.Unavailable, "broken")
		if calls.Add(1) > 1 {
			texts, failure = second, nil
		}
		if !kind.ServerStreams() {
			if failure != nil {
				return failure
			}
			texts = second[:1]
		}
		for _, text := range texts {
			if err := s.Send(response(text)); err != nil {
				return err
			}
		}
		return failure
	}}
}

// onCopies makes attempts on copies until one succeeds, and adopts the last.
func onCopies(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	for {
		attempt := call.Attempt()
		err := next(ctx, attempt)
		if err == nil || status.Code(err) != codes.Unavailable {
			call.Adopt(attempt)
			return err
		}
	}
}

// resumes lets a stream go on with another request.
func resumes(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	err := next(ctx, call)
	for err != nil && call.CanResume() {
		if err := call.Resume(&testpb.Request{Text: "resumed"}); err != nil {
			return err
		}
		err = next(ctx, call)
	}
	return err
}

// Rule i: TotalSent and TotalReceived count the messages of all attempts of inner interceptors, and never
// decrease. Sent and Received are those of the last attempt.
func TestTotalCounts(t *testing.T) {
	drop := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(msg any) (bool, error) { return msg.(*testpb.Response).GetText() != "drop", nil })
		return next(ctx, call)
	})
	type counts struct{ sent, received, totalSent, totalReceived int64 }
	dropped, texts := []string{"drop", "drop"}, []string{"a", "b", "c"}
	for name, c := range map[string]struct {
		inner []hauberk.Interceptor
		first []string
		wants map[hauberk.Kind]counts
	}{
		"a retry": {
			inner: []hauberk.Interceptor{retry(2), drop}, first: dropped,
			wants: map[hauberk.Kind]counts{
				hauberk.Unary: {1, 1, 2, 1}, hauberk.ClientStream: {2, 1, 4, 1},
				hauberk.ServerStream: {1, 3, 2, 5}, hauberk.Bidi: {2, 3, 4, 5},
			},
		},
		"a retry in a retry": {
			inner: []hauberk.Interceptor{retry(2), retry(2), drop}, first: dropped,
			wants: map[hauberk.Kind]counts{
				hauberk.Unary: {1, 1, 2, 1}, hauberk.ClientStream: {2, 1, 4, 1},
				hauberk.ServerStream: {1, 3, 2, 5}, hauberk.Bidi: {2, 3, 4, 5},
			},
		},
		"attempts on copies": {
			inner: []hauberk.Interceptor{hauberk.Func(onCopies)},
			wants: map[hauberk.Kind]counts{hauberk.Unary: {1, 1, 2, 1}, hauberk.ServerStream: {1, 3, 2, 3}},
		},
		"copies of copies": {
			inner: []hauberk.Interceptor{hauberk.Func(onCopies), hauberk.Func(onCopies)},
			wants: map[hauberk.Kind]counts{hauberk.Unary: {1, 1, 2, 1}, hauberk.ServerStream: {1, 3, 2, 3}},
		},
		"a retry on a copy": {
			inner: []hauberk.Interceptor{hauberk.Func(onCopies), retry(2)},
			wants: map[hauberk.Kind]counts{hauberk.Unary: {1, 1, 2, 1}, hauberk.ServerStream: {1, 3, 2, 3}},
		},
		"a resumed stream": {
			inner: []hauberk.Interceptor{hauberk.Func(resumes)}, first: []string{"x", "y"},
			wants: map[hauberk.Kind]counts{hauberk.ServerStream: {1, 3, 2, 5}},
		},
		"an adapter around a retry": { // the adapter opens one stream
			inner: []hauberk.Interceptor{hauberk.FromClient(hauberk.PassUnaryClient, hauberk.PassStreamClient), retry(2), drop},
			first: dropped,
			wants: map[hauberk.Kind]counts{
				hauberk.Unary: {1, 1, 2, 1}, hauberk.ClientStream: {2, 1, 2, 1},
				hauberk.ServerStream: {1, 3, 1, 3}, hauberk.Bidi: {2, 3, 2, 3},
			},
		},
	} {
		for kind, want := range c.wants {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var got counts
				outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					var seen int64
					call.OnReceive(func(any) (bool, error) {
						total := call.TotalReceived()
						seen++
						if total < seen {
							t.Errorf("%d messages were received, and TotalReceived is %d", seen, total)
						}
						return true, nil
					})
					err := next(ctx, call)
					got = counts{call.Sent(), call.Received(), call.TotalSent(), call.TotalReceived()}
					return err
				}
				chain := append([]hauberk.Interceptor{hauberk.Func(outer)}, c.inner...)
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, twice(kind, c.first, texts), chain...)
				requests := []string{"1", "2"}
				if !kind.ClientStreams() {
					requests = requests[:1]
				}
				wantCode(t, env.Call(t.Context(), requests...).Err, codes.OK)
				if got != want {
					t.Errorf("counted %+v, want %+v", got, want)
				}
			})
		}
	}
}

// The totals of a server, and of a call that adopts a detached one, are its counts.
func TestTotalCountsWithoutAttempts(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var sent, received, totalSent, totalReceived int64
		outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.CountMessages()
			err := next(ctx, call)
			sent, received = call.Sent(), call.Received()
			totalSent, totalReceived = call.TotalSent(), call.TotalReceived()
			return err
		}
		detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inside, copied, err := call.Detach(ctx)
			if err != nil {
				return next(ctx, call)
			}
			defer call.Adopt(copied)
			return next(inside, copied)
		}
		out := c.Start(t, hauberk.Func(outer), hauberk.Func(detaching)).Call(t.Context())
		if out.Err != nil || sent == 0 || received == 0 || totalSent != sent || totalReceived != received {
			t.Errorf("%v: sent %d, received %d, in total %d and %d", out.Err, sent, received, totalSent, totalReceived)
		}
	})
}
