package cache_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
)

// The header and the trailer that an application receives belong to it: what it does to them changes no
// cached answer.
func TestApplicationOwnsMetadata(t *testing.T) {
	x := cache.New(cache.Config{TTL: time.Hour, Methods: all})
	intercept := hauberk.Must(hauberk.New(x)).UnaryClientInterceptor()
	invoker := func(_ context.Context, _ string, _, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		for _, o := range opts {
			switch o := o.(type) {
			case grpc.HeaderCallOption:
				*o.HeaderAddr = metadata.Pairs("h", "1")
			case grpc.TrailerCallOption:
				*o.TrailerAddr = metadata.Pairs("t", "1")
			}
		}
		reply.(*testpb.Response).Text = "answer"
		return nil
	}
	for i := range 3 {
		var header, trailer metadata.MD
		err := intercept(t.Context(), unary, &testpb.Request{}, &testpb.Response{}, nil, invoker,
			grpc.Header(&header), grpc.Trailer(&trailer))
		h, tr := header.Get("h"), trailer.Get("t")
		if err != nil || len(h) != 1 || h[0] != "1" || len(tr) != 1 || tr[0] != "1" || header.Get("x") != nil {
			t.Errorf("call %d: %v, header %v, trailer %v", i, err, header, trailer)
			continue
		}
		h[0], tr[0] = "changed", "changed"
		header.Set("x", "changed")
		trailer.Delete("t")
	}
}
