package coalesce_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

// The header and the trailer that an application receives belong to it, also if the callers of a flight
// receive the same.
func TestApplicationOwnsMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		intercept := hauberk.Must(hauberk.New(coalesce.New(shared()))).UnaryClientInterceptor()
		release := make(chan struct{})
		invoker := func(_ context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
			<-release
			for _, o := range opts {
				switch o := o.(type) {
				case grpc.HeaderCallOption:
					*o.HeaderAddr = metadata.Pairs("h", "1")
				case grpc.TrailerCallOption:
					*o.TrailerAddr = metadata.Pairs("t", "1")
				}
			}
			return nil
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				var header, trailer metadata.MD
				err := intercept(t.Context(), testpb.TestService_Unary_FullMethodName, &testpb.Request{}, &testpb.Response{},
					nil, invoker, grpc.Header(&header), grpc.Trailer(&trailer))
				h, tr := header.Get("h"), trailer.Get("t")
				if err != nil || len(h) != 1 || h[0] != "1" || len(tr) != 1 || tr[0] != "1" {
					t.Errorf("%v, header %v, trailer %v", err, header, trailer)
					return
				}
				h[0], tr[0] = "changed", "changed" // -race finds what is shared
				header.Set("x", "changed")
				trailer.Delete("t")
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}
