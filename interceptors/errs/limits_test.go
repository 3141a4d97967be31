package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// With the default limits a client that accepts a header list of 8 KiB receives the code of each entry with any
// text, and the details that are within the limit.
func TestHeaderListOf8KiB(t *testing.T) {
	table := errs.NewTable(domain, errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK",
		func(e *stockError) *testpb.Request {
			return &testpb.Request{Text: e.Item, Payload: make([]byte, e.Left)}
		},
		func(d *testpb.Request) (*stockError, error) {
			return &stockError{d.GetText(), int32(len(d.GetPayload()))}, nil
		}))
	x := errs.New(errs.Config{}, table)
	chain := hauberk.Must(hauberk.New(x))
	for _, size := range []int32{0, 500, 1000, 1500, 2000, 100_000} {
		for _, item := range []string{"hat", strings.Repeat("é", 1000), strings.Repeat("\u20ac%\n", 1000)} {
			for _, kind := range kinds {
				env := hauberktest.Start(t, hauberktest.Setup{
					Backend: failing(func() error { return &stockError{item, size} }), Server: chain, Client: chain, Kind: kind,
					DialOptions: []grpc.DialOption{grpc.WithMaxHeaderListSize(8 << 10)},
				})
				err := env.Call(t.Context()).Err
				if status.Code(err) != codes.FailedPrecondition || hauberk.Reason(err) != "OUT_OF_STOCK" {
					t.Errorf("%d bytes, %.5s, %v: %v; want FAILED_PRECONDITION", size, item, kind, err)
				}
				_, ok := errors.AsType[*stockError](err)
				if want := len(item)+int(size) < 1500; ok != want && (want || size > 2000) {
					t.Errorf("%d bytes, %.5s, %v: the type is found: %t; want %t", size, item, kind, ok, want)
				}
			}
		}
	}
}

// A server whose retries were in vain asks its client not to retry, also if the error is hidden.
func TestPushbackOfAHiddenError(t *testing.T) {
	retries := retry.New(retry.Config{
		AllMethods: true, NoBudget: true, NoJitter: true, MaxReplayBytes: 1 << 20, MaxAttempts: 2,
		InitialBackoff: time.Nanosecond, MaxBackoff: time.Nanosecond,
	})
	x := errs.New(errs.Config{}, newTable())
	for name, client := range map[string][]hauberk.Interceptor{"outside": {x, retries}, "inside": {retries, x}} {
		for _, kind := range kinds {
			var back testpb.TestServiceClient
			backend := failing(func() error { return &closedError{} })
			back = listen(t, backend, hauberk.Must(hauberk.New(x)), hauberk.Must(hauberk.New(client...)))
			proxy := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				return wrap(invoke(ctx, back, kind))
			}}
			env := hauberktest.Start(t, hauberktest.Setup{Backend: proxy, Server: hauberk.Must(hauberk.New(x)), Kind: kind})
			out := env.Call(t.Context())
			if status.Code(out.Err) != codes.Unavailable || hauberk.Reason(out.Err) != errs.ReasonDependency {
				t.Errorf("%s, %v: %v; want UNAVAILABLE of a dependency", name, kind, out.Err)
			}
			if got := out.Trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "-1" {
				t.Errorf("%s, %v: the trailer is %v; want a pushback", name, kind, out.Trailer)
			}
		}
	}
}

// One interceptor serves calls of both sides concurrently.
func TestConcurrent(t *testing.T) {
	x := errs.New(errs.Config{}, newTable())
	chain := hauberk.Must(hauberk.New(x))
	for _, kind := range kinds {
		env := hauberktest.Start(t, hauberktest.Setup{
			Backend: &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				req, err := s.Recv()
				if err != nil {
					return err
				}
				return wrap(&stockError{req.GetText(), 1})
			}}, Server: chain, Client: chain, Kind: kind,
		})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				item := fmt.Sprintf("item %d", i)
				err := env.Call(t.Context(), item).Err
				if e, ok := errors.AsType[*stockError](err); !ok || e.Item != item {
					t.Errorf("%v: %v; want the error for %s", kind, err, item)
				}
			})
		}
		all.Wait()
	}
}

// Statuses that are made concurrently share no details.
func TestDetailsAreNotShared(t *testing.T) {
	more := errs.WithDetails(new(testpb.Response), new(testpb.Response), new(testpb.Response))
	table := errs.NewTable(domain, errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK", stockDetail, stockOf, more))
	var all sync.WaitGroup
	for i := range int32(20) {
		all.Go(func() {
			st, _ := table.ToStatus(&stockError{"hat", i})
			if e, ok := errors.AsType[*stockError](table.FromStatus(st)); !ok || e.Left != i {
				t.Errorf("%v; want %d", e, i)
			}
		})
	}
	all.Wait()
}
