package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// A call that an inner interceptor rejects has no messages. A server does not read its request.
func TestRejectedByInnerInterceptor(t *testing.T) {
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprintf("exact=%v", exact), func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				m := metrics.New(metrics.Config{ExactMessages: exact})
				env := c.Start(t, m, reject(codes.PermissionDenied, "NOT_ALLOWED"))
				if out := env.Call(t.Context()); status.Code(out.Err) != codes.PermissionDenied {
					t.Fatalf("the call ended with %v", out.Err)
				}
				checkCounts(t, count(t, m, c), 1, codes.PermissionDenied)
				checkMoved(t, m, c, 1, messages{})
			})
		})
	}
}

// Received counts the request of a failed unary call on a server as the package documents, with
// and without ExactMessages.
func TestReceivedByFailedUnaryCalls(t *testing.T) {
	plain, echoing := errors.New("plain"), new(hauberktest.Backend)
	failing := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return plain }}
	rejecting := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return hauberk.Reject(codes.FailedPrecondition, "SOLD_OUT", "no")
	}}
	reading := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if _, err := call.Read(ctx); err != nil {
			return err
		}
		return hauberk.Reject(codes.InvalidArgument, "INVALID", "no")
	})
	tests := []struct {
		name           string
		backend        *hauberktest.Backend
		interceptor    hauberk.Interceptor
		dec            func(any) error
		without, exact uint64
	}{
		{"handler failed", failing, passing, nil, 1, 1},
		{"rejected", echoing, reject(codes.Aborted, "NO"), nil, 0, 0},
		{"rejected after reading", echoing, reading, nil, 1, 1},
		{"rejected with an ordinary error", echoing, returning(plain), nil, 1, 0},
		{"not decoded", echoing, passing, func(any) error { return plain }, 1, 0},
		{"handler rejected", rejecting, passing, nil, 0, 1},
	}
	for _, test := range tests {
		for exact, want := range map[bool]uint64{false: test.without, true: test.exact} {
			t.Run(fmt.Sprintf("%s/exact=%v", test.name, exact), func(t *testing.T) {
				m := metrics.New(metrics.Config{ExactMessages: exact})
				serve := servedDecoding(chainOf(t, m, test.interceptor), hauberk.Unary, test.backend, test.dec)
				if err := serve(); err == nil {
					t.Fatal("the call was OK")
				}
				s := count(t, m, hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary})
				if s.Received != want || s.Sent != 0 {
					t.Errorf("received %d, sent %d; want %d, 0", s.Received, s.Sent, want)
				}
			})
		}
	}
}

var passing = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })

func returning(err error) hauberk.Interceptor {
	return hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return err })
}

// The messages of a running stream are counted as they flow.
func TestMessagesOfRunningStreams(t *testing.T) {
	for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
		t.Run(side.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			m := metrics.New(metrics.Config{})
			c := hauberktest.Case{Side: side, Kind: hauberk.Bidi}
			stream, err := testpb.NewTestServiceClient(c.Start(t, m).Conn).Bidi(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := stream.Send(&testpb.Request{}); err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			// The client may receive a message before the server counts it.
			s := count(t, m, c)
			if s.InFlight != 1 || s.Received != 3 || s.Sent < 2 || s.Sent > 3 {
				t.Errorf("after 3 messages each way: %+v", s)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			checkCounts(t, count(t, m, c), 1, codes.OK)
			checkMoved(t, m, c, 1, messages{3, 3})
		})
	}
}
