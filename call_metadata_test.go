package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestHeaderShowsTrailersOnly: Header is nil after a Trailers-Only response, which
// distinguishes it from a call that failed after its header.
func TestHeaderShowsTrailersOnly(t *testing.T) {
	for _, withHeader := range []bool{false, true} {
		for _, kind := range allKinds {
			t.Run(kind.String()+map[bool]string{true: " with header", false: " Trailers-Only"}[withHeader], func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if withHeader {
						_ = s.SendHeader(nil)
					}
					s.SetTrailer(metadata.Pairs("x-trailer", "1"))
					return status.Error(codes.Unavailable, "down")
				}}
				var header, trailer []metadata.MD
				look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					call.CaptureMetadata()
					err := next(ctx, call)
					header, trailer = append(header, call.Header()), append(trailer, call.Trailer())
					return err
				})
				env := hauberktest.Start(t, hauberktest.Setup{
					Backend: backend, Kind: kind, Client: hauberk.Must(hauberk.New(retry(2), look)),
				})
				for range 2 { // the second call has room for what the first one captured
					wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
				}
				for i := range header {
					if (header[i] != nil) != withHeader || len(trailer[i].Get("x-trailer")) != 1 {
						t.Errorf("attempt %d: header %v, trailer %v", i+1, header[i], trailer[i])
					}
				}
			})
		}
	}
}

// TestCaptureMetadataAllocations: captured metadata costs a unary call no allocation of
// ours.
func TestCaptureMetadataAllocations(t *testing.T) {
	measure := func(capture bool) float64 {
		chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if capture {
				call.CaptureMetadata()
			}
			return next(ctx, call)
		})))
		conn, reply := chain.ClientConn(hauberktest.Conn{}), &testpb.Response{}
		return testing.AllocsPerRun(1000, func() {
			_ = conn.Invoke(context.Background(), testpb.TestService_Unary_FullMethodName, &testpb.Request{}, reply)
		})
	}
	if without, with := measure(false), measure(true); with > without {
		t.Errorf("%v allocations, %v without", with, without)
	}
}
