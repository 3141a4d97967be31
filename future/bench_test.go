package future_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/future"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// BenchmarkStart compares a future with the same call made directly, and with a goroutine that
// sends the result to a channel. The method does nothing.
func BenchmarkStart(b *testing.B) {
	resp := &testpb.Response{}
	method := func(context.Context, *testpb.Request, ...grpc.CallOption) (*testpb.Response, error) { return resp, nil }
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := method(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("goroutine and channel", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			done := make(chan error, 1)
			go func() {
				_, err := method(b.Context(), nil)
				done <- err
			}()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("future", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := future.Start(b.Context(), method, nil).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	method := func(context.Context, *testpb.Request, ...grpc.CallOption) (*testpb.Response, error) { return nil, nil }
	got := testing.AllocsPerRun(1000, func() { _ = future.Start(context.Background(), method, nil).Err() })
	if got > 8 {
		t.Errorf("%v allocations, budget 8", got)
	}
}
