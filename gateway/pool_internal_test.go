package gateway

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// When the upstream's limit of streams is reached, further calls use another connection.
func TestFramesUseMoreConnections(t *testing.T) {
	b := bubble{srv: []grpc.ServerOption{grpc.MaxConcurrentStreams(3)}, transport: TransportFrames}
	b.runOnce(t, func(t *testing.T, b *bubble) {
		backend, begun, _ := waits()
		b.backend.Handle = backend.Handle
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		const calls, connections = 60, 16
		for range calls {
			go func() {
				_, _ = b.client().Unary(ctx, &testpb.Request{})
				ended <- struct{}{}
			}()
		}
		synctest.Wait()
		if got := len(begun); got != 3*connections {
			t.Errorf("%d calls run, want %d on each of %d connections", got, 3, connections)
		}
		cancel()
		for range calls {
			<-ended
		}
	})
}
