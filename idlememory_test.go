//go:build !race

package hauberk_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	retries "github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// inUse returns how many bytes of heap and stacks are in use.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// idleStreams returns how many bytes an idle bidirectional stream takes on a client.
func idleStreams(t *testing.T, conn grpc.ClientConnInterface) int64 {
	t.Helper()
	const n = 5000
	ctx, cancel := context.WithCancel(patient(t))
	before := inUse()
	open := make([]grpc.ClientStream, 0, n)
	for range n {
		stream := start(ctx, t, conn, hauberk.Bidi)
		if err := stream.SendMsg(message("a")); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	taken := (inUse() - before) / n
	cancel()
	for _, stream := range open {
		for stream.RecvMsg(new(testpb.Response)) == nil {
			continue
		}
	}
	return taken
}

// TestIdleStreamMemory: an idle bidirectional stream of a client takes at most 7 KiB
// more behind six interceptors than without a chain: 4 KiB of them are the stack of the
// chain's goroutine. The goal is 6 KiB (docs/adr/0012).
//
// It measures in a separate process: the runtime gives goroutines larger stacks when
// those of earlier tests were large.
func TestIdleStreamMemory(t *testing.T) {
	const alone = "HAUBERK_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIdleStreamMemory$", "-test.v")
		cmd.Env = append(os.Environ(), alone+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	hauberktest.CheckLeaks(t)
	chain := hauberk.Must(hauberk.New(requestid.New(requestid.Config{}), metrics.New(metrics.Config{}),
		logging.New(logging.Config{}, logging.WithLogger(quiet)), recovery.New(recovery.Config{}),
		retries.New(retries.Config{AllMethods: true}), breaker.New(breaker.Config{})))
	conn := func() *scripts {
		return &scripts{open: func(context.Context, int) (*script, error) {
			s := oneMessage()
			return &s, nil
		}}
	}
	idleStreams(t, conn()) // once for what is made only once
	bare := idleStreams(t, conn())
	if got := idleStreams(t, chain.ClientConn(conn())) - bare; got > 7<<10 {
		t.Errorf("an idle stream takes %d bytes more than without a chain, which takes %d; want at most 7168", got, bare)
	} else {
		t.Logf("%d bytes more than without a chain, which takes %d", got, bare)
	}
}
