package contract_test

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// patience limits the time for which an application waits for its turn or holds a call open.
const patience = 8 * time.Second

// stream makes a streaming call.
func (a *application) stream(ctx context.Context) error {
	stream, err := a.open(ctx, a.options())
	if err != nil {
		return err
	}
	if !a.kind.ClientStreams() {
		if err := a.sendOne(stream); err != nil {
			return err
		}
		return a.receiveAll(ctx, stream)
	}
	var sending sync.WaitGroup
	sending.Go(func() { a.sendAll(ctx, stream) })
	err = a.receiveAll(ctx, stream)
	close(a.over)
	a.cancel()
	sending.Wait()
	return err
}

func (a *application) open(ctx context.Context, opts []grpc.CallOption) (grpc.ClientStream, error) {
	desc := &grpc.StreamDesc{ClientStreams: a.kind.ClientStreams(), ServerStreams: a.kind.ServerStreams()}
	return a.conn.NewStream(ctx, desc, a.method(), opts...)
}

func (a *application) sendOne(stream grpc.ClientStream) error {
	if err := stream.SendMsg(a.requests[0]); err != nil && err != io.EOF {
		return err
	}
	return stream.CloseSend()
}

// sendAll sends the requests and half-closes the call.
func (a *application) sendAll(ctx context.Context, stream grpc.ClientStream) {
	if a.feed(ctx, func(req *pb.Req) bool { return stream.SendMsg(req) == nil }) {
		_ = stream.CloseSend() // the call may have ended
	}
}

// feed sends the requests at their times until a send fails. It reports whether the call is to be
// half-closed. RecvMsg returns the error of a failed send.
func (a *application) feed(ctx context.Context, send func(*pb.Req) bool) bool {
	all := a.push(ctx, send)
	close(a.fed)
	if all && a.spec.HoldOpen {
		a.waitFor(a.over)
	}
	return all
}

func (a *application) push(ctx context.Context, send func(*pb.Req) bool) bool {
	for i, req := range a.requests {
		if a.spec.Lockstep && !a.waitFor(a.turn) {
			return true
		}
		if i > 0 && wait(ctx, millis(a.spec.RequestGapMS)) != nil || !send(req) {
			return false
		}
	}
	return true
}

// waitFor waits for a channel or the end of the call, for at most patience.
func (a *application) waitFor(c <-chan struct{}) bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-a.over:
	case <-t.C:
	}
	return false
}

// receiveAll receives until the call ends.
func (a *application) receiveAll(ctx context.Context, stream grpc.ClientStream) error {
	err := a.receive(ctx, stream)
	a.header, _ = stream.Header()
	a.trailer = stream.Trailer()
	return err
}

func (a *application) receive(ctx context.Context, stream grpc.ClientStream) error {
	for {
		resp := new(pb.Resp)
		if err := stream.RecvMsg(resp); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a.got(resp)
		if !a.kind.ServerStreams() {
			return nil
		}
		if a.spec.Lockstep {
			a.journal.log(a.spec.ID, hauberk.ClientSide, "app:got("+resp.GetMsg()+")")
		}
		a.release()
		if c := a.spec.Cancel; c != nil && c.AfterResponses == len(a.responses) {
			if a.kind.ClientStreams() {
				a.waitFor(a.fed) // by then grpcio has sent all requests that it pulls
			}
			a.cancel()
			return <-a.finished // like grpcio's runner, it drops messages that arrived before
		}
		_ = wait(ctx, millis(a.spec.ReadGapMS)) // RecvMsg reports a call that has ended meanwhile
	}
}

// release allows the next request to be sent. The channel has capacity for all of them.
func (a *application) release() {
	select {
	case a.turn <- struct{}{}:
	default:
	}
}
