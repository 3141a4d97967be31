package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// load is a kind of call that a process is loaded with.
type load struct {
	authorization func() (string, error) // the value of the metadata; "" for none
	want          codes.Code             // the status of every call
}

var (
	accepted     = load{newAuthorization, codes.OK}
	withoutToken = load{func() (string, error) { return "", nil }, codes.Unauthenticated}
	forgedToken  = load{forgedAuthorization, codes.Unauthenticated}
)

const callers = 8

// run makes calls to a process, from a few goroutines.
func (l load) run(p *process, calls int) error {
	ctx, err := l.context()
	if err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(int64(calls))
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		client := testpb.NewTestServiceClient(p.conns[i%len(p.conns)])
		all.Go(func() {
			req := &testpb.Request{Payload: make([]byte, 100)}
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = l.call(ctx, client, req)
			}
		})
	}
	all.Wait()
	return firstError(errs)
}

func (l load) context() (context.Context, error) {
	authorization, err := l.authorization()
	if err != nil || authorization == "" {
		return context.Background(), err
	}
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", authorization), nil
}

func (l load) call(ctx context.Context, client testpb.TestServiceClient, req *testpb.Request) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := client.Unary(ctx, req)
	if status.Code(err) == l.want {
		return nil
	}
	if err == nil {
		return status.Errorf(codes.Internal, "a call ended as OK; want %v", l.want)
	}
	return err
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
