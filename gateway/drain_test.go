package gateway_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// During a shutdown no call is lost: what was executed succeeds, and the others fail with
// UNAVAILABLE.
func TestShutdownLosesNoCall(t *testing.T) { eachTransport(t, shutdownLosesNoCall) }

func shutdownLosesNoCall(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	var executed atomic.Int64
	backend := serve(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		executed.Add(1)
		return s.Send(&testpb.Response{Payload: make([]byte, 3000)})
	}})
	for range 10 {
		executed.Store(0)
		g, err := gateway.New(gateway.Config{Upstream: backend, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		lis := listen(t)
		served := make(chan error, 1)
		go func() { served <- g.Serve(lis) }()
		var succeeded atomic.Int64
		var callers sync.WaitGroup
		warm := make(chan struct{}, 1)
		for range 4 {
			client := testpb.NewTestServiceClient(dial(t, lis.Addr().String()))
			for range 4 {
				callers.Go(func() {
					for {
						if _, err := client.Unary(t.Context(), &testpb.Request{Text: "x"}); err != nil {
							if status.Code(err) != codes.Unavailable {
								t.Errorf("a call failed with %v", err)
							}
							return
						}
						if succeeded.Add(1) == 200 {
							warm <- struct{}{}
						}
					}
				})
			}
		}
		<-warm
		if err := g.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if succeeded.Load() != executed.Load() {
			t.Errorf("%d calls were executed, and %d succeeded", executed.Load(), succeeded.Load())
		}
	}
}
