package errs_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// BenchmarkErrs is a unary call on a server, by the error of its handler, with the interceptor and without one.
func BenchmarkErrs(b *testing.B) {
	x := errs.New(errs.Config{}, newTable())
	for name, handled := range map[string]error{
		"success": nil, "sentinel": wrap(errMissing), "detail": wrap(&stockError{"hat", 2}),
		"status": status.Error(codes.NotFound, "text"), "masked": errors.New("secret"),
	} {
		service := failing(func() error { return handled })
		for side, interceptors := range map[string][]hauberk.Interceptor{"bare": nil, "errs": {x}} {
			b.Run(name+"/"+side, func(b *testing.B) {
				b.ReportAllocs()
				call := hauberktest.Direct{Service: service}.Server(hauberk.Must(hauberk.New(interceptors...)))
				for b.Loop() {
					_ = call(b.Context())
				}
			})
		}
	}
}

// BenchmarkFromStatus decodes the status of an error with a detail.
func BenchmarkFromStatus(b *testing.B) {
	table := newTable()
	st, _ := table.ToStatus(&stockError{"hat", 2})
	b.ReportAllocs()
	for b.Loop() {
		_ = table.FromStatus(st)
	}
}

// A call that succeeds costs no allocation beyond that of any interceptor.
func TestAllocations(t *testing.T) {
	for _, kind := range kinds {
		allocs := func(interceptors ...hauberk.Interceptor) float64 {
			call := hauberktest.Direct{Kind: kind}.Server(hauberk.Must(hauberk.New(interceptors...)))
			return testing.AllocsPerRun(100, func() {
				if err := call(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		}
		pass := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
		if bare, got := allocs(pass), allocs(errs.New(errs.Config{}, newTable())); got > bare {
			t.Errorf("%v: %v allocations; want %v", kind, got, bare)
		}
	}
}
