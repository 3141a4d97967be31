package main

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

// answersContest compares calls that share answers: from memory, and by one flight, which has a single
// caller here.
func answersContest() contest {
	const rival = "grpc-go, singleflight of x/sync"
	methods := []string{"hauberk.test.v1.*"}
	return contest{
		name: "answers that calls share, unary call on a client",
		variants: []variant{
			{oneIdle, calling(idleInterceptors(1)...)},
			{"Hauberk, cache, not covered", calling(cache.New(cache.Config{TTL: time.Hour}))},
			{"Hauberk, cache, hit", calling(cache.New(cache.Config{TTL: time.Hour, Methods: methods}))},
			{"Hauberk, coalesce, alone", calling(coalesce.New(coalesce.Config{Methods: methods}))},
			{grpcIdle, through(idleClient)},
			{rival, through(singleflightClient())},
		},
		bases: map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}

// singleflightClient makes one call for equal calls, as services write it with x/sync. A call ends with that
// of the first caller.
func singleflightClient() grpc.UnaryClientInterceptor {
	var group singleflight.Group
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		in, out := req.(proto.Message), reply.(proto.Message)
		key, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
		if err != nil {
			return err
		}
		got, err, _ := group.Do(method+"\x00"+string(key), func() (any, error) {
			shared := out.ProtoReflect().New().Interface()
			return shared, invoker(ctx, method, req, shared, cc, opts...)
		})
		if err != nil {
			return err
		}
		proto.Reset(out)
		proto.Merge(out, got.(proto.Message))
		return nil
	}
}
