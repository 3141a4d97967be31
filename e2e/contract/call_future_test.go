package contract_test

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
	"github.com/hauberk-rpc/hauberk/future"
)

// promised reports whether a call is made as a future. As in grpcio's runner, this is a call with a
// single response that the application cancels.
func (a *application) promised() bool {
	return a.spec.Cancel != nil && a.spec.Cancel.AfterMS != nil && !a.kind.ServerStreams()
}

// await makes the call as a future, cancels it at the given time, and returns its outcome.
func (a *application) await(ctx context.Context) error {
	f := a.start(ctx)
	defer time.AfterFunc(millis(*a.spec.Cancel.AfterMS), func() { f.Cancel() }).Stop()
	resp, err := f.Result()
	close(a.over)
	if err == nil {
		a.got(resp)
	}
	if !f.Cancelled() { // grpcio's futures have no metadata for cancelled calls
		a.header, a.trailer = f.Header(), f.Trailer()
	}
	return err
}

func (a *application) start(ctx context.Context) *future.Future[pb.Resp] {
	if a.kind == hauberk.Unary {
		return future.Start(ctx, a.unary, a.requests[0], a.options()...)
	}
	return future.StartStream(ctx, a.upload, func(yield func(*pb.Req, error) bool) {
		a.feed(ctx, func(req *pb.Req) bool { return yield(req, nil) })
	}, a.options()...)
}

// unary is the method in the form of a generated client.
func (a *application) unary(ctx context.Context, req *pb.Req, opts ...grpc.CallOption) (*pb.Resp, error) {
	resp := new(pb.Resp)
	return resp, a.conn.Invoke(ctx, a.method(), req, resp, opts...)
}

// upload is the method in the form of a generated client.
func (a *application) upload(
	ctx context.Context, opts ...grpc.CallOption,
) (grpc.ClientStreamingClient[pb.Req, pb.Resp], error) {
	stream, err := a.open(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[pb.Req, pb.Resp]{ClientStream: stream}, nil
}
