package attacks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestS02Churn: connections that come and go, cancelled calls, short deadlines, messages of up to 3 MiB, clients that
// do not read, resets, connections that are cut, and new policies, all at once. Calls that are not broken off end with OK,
// and at the end the sidecar has as many goroutines and file descriptors as before.
func TestS02Churn(t *testing.T) { testChurn(t, time.Second) }

// TestSoakS02Churn does it for the duration in HAUBERK_SOAK. At the end the heap of the sidecar is as before.
func TestSoakS02Churn(t *testing.T) { testChurn(t, soakTime(t)) }

// churn is a load of several workers.
type churn struct {
	t      *testing.T
	g      *gate
	policy string // the file

	calls, resets, policies atomic.Int64
	wrong                   atomic.Int64
}

func testChurn(t *testing.T, length time.Duration) {
	t.Helper()
	c := &churn{t: t, policy: filepath.Join(t.TempDir(), "policy.yaml")}
	c.save()
	c.g = sidecar(t, "", "--config", c.policy)
	c.g.memory = 512 << 20 // all of this is more than two busy cores can do
	descriptors := c.g.descriptors(t)
	heap := 0
	if length > 10*time.Second {
		heap = c.heap()
	}
	c.g.attack(t, func() {
		ctx, cancel := context.WithCancel(t.Context()) // with a deadline the sidecar would end calls before it
		defer cancel()
		defer time.AfterFunc(length, cancel).Stop()
		var all sync.WaitGroup
		for n, work := range []func(context.Context, *rand.Rand, testpb.TestServiceClient){
			c.connect, c.connect, c.cancel, c.cancel, c.expire, c.large, c.stall, c.reset, c.reload,
		} {
			conn := c.g.dial(t)
			random := rand.New(rand.NewPCG(1, uint64(n)))
			all.Go(func() {
				for ctx.Err() == nil {
					work(ctx, random, testpb.NewTestServiceClient(conn))
				}
				_ = conn.Close()
			})
		}
		all.Wait()
	})
	c.g.settleDescriptors(t, descriptors)
	t.Logf("%d calls, %d resets, %d policies", c.calls.Load(), c.resets.Load(), c.policies.Load())
	if heap > 0 {
		c.settleHeap(heap)
	}
}

// heap makes the sidecar collect garbage, by large messages, and returns the size of its heap at which it will do so
// again: twice what is in use.
func (c *churn) heap() int {
	random := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		c.large(c.t.Context(), random, c.g.canary)
	}
	return c.g.metric(c.t, "go_memstats_next_gc_bytes")
}

// settleHeap waits until the sidecar's heap is hardly larger than before.
func (c *churn) settleHeap(before int) {
	c.t.Helper()
	now := 0
	for range 30 {
		if now = c.heap(); now <= before+16<<20 {
			c.t.Logf("the heap has %d MiB, and had %d MiB before", now>>20, before>>20)
			return
		}
	}
	c.t.Errorf("the heap has %d bytes, and had %d before", now, before)
}

// descriptors returns the number of the sidecar's file descriptors.
func (g *gate) descriptors(t *testing.T) int {
	t.Helper()
	return len(must(os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.cmd.Process.Pid))))
}

// settleDescriptors waits until the sidecar has hardly more file descriptors than before.
func (g *gate) settleDescriptors(t *testing.T, before int) {
	t.Helper()
	late, tick := time.After(20*time.Second), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for g.descriptors(t) > before+5 {
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("the sidecar has %d file descriptors, and had %d before", g.descriptors(t), before)
			return
		}
	}
}

// check counts a call. Except with OK it may have ended with the codes, and with any after the end of the load.
func (c *churn) check(ctx context.Context, what string, err error, allowed ...codes.Code) {
	c.calls.Add(1)
	if err == nil || ctx.Err() != nil || slices.Contains(allowed, status.Code(err)) {
		return
	}
	if len(allowed) > 0 && strings.Contains(err.Error(), "REFUSED_STREAM") {
		return // 100 calls that were broken off on this connection have not ended yet
	}
	if c.wrong.Add(1) <= 10 {
		c.t.Errorf("%s: %v", what, err)
	}
}

// connect makes calls of all kinds on a new connection, and closes it while a call runs.
func (c *churn) connect(ctx context.Context, random *rand.Rand, _ testpb.TestServiceClient) {
	conn, err := grpc.NewClient(c.g.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	for i := range random.IntN(10) {
		kind := kinds[random.IntN(len(kinds))]
		c.check(ctx, kind.String(), callOn(ctx, conn, kind, fmt.Sprint(i), 3))
	}
	if stream, err := testpb.NewTestServiceClient(conn).Bidi(ctx); err == nil {
		_ = stream.Send(&testpb.Request{Text: "running"})
	}
}

// cancel cancels a call after some messages, at any time.
func (c *churn) cancel(ctx context.Context, random *rand.Rand, client testpb.TestServiceClient) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Bidi(call)
	if random.IntN(2) == 0 {
		stop := time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
		defer stop.Stop()
	}
	for i := 0; err == nil && i < random.IntN(10); i++ {
		err = stream.Send(&testpb.Request{Text: strings.Repeat("c", random.IntN(10_000))})
		if errors.Is(err, io.EOF) || err == nil {
			_, err = stream.Recv()
		}
	}
	c.check(ctx, "a cancelled call", err, codes.Canceled)
}

// expire makes a call with a short deadline.
func (c *churn) expire(ctx context.Context, random *rand.Rand, client testpb.TestServiceClient) {
	call, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(5000))*time.Microsecond)
	defer cancel()
	stream, err := client.Bidi(call)
	if err == nil {
		_ = stream.Send(&testpb.Request{Text: "expires"})
		err = toEnd(stream)
	}
	c.check(ctx, "a call with a short deadline", err, codes.DeadlineExceeded)
}

// large sends and receives a large message.
func (c *churn) large(ctx context.Context, random *rand.Rand, client testpb.TestServiceClient) {
	text := strings.Repeat("large", 1000+random.IntN(600_000))
	resp, err := client.Unary(ctx, &testpb.Request{Text: text})
	if err == nil && resp.GetText() != "echo:"+text {
		err = errors.New("another message came back")
	}
	c.check(ctx, "a large message", err)
}

// stall reads one of many messages.
func (c *churn) stall(ctx context.Context, random *rand.Rand, client testpb.TestServiceClient) {
	call, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(100))*time.Millisecond)
	defer cancel()
	stream, err := client.ServerStream(call, &testpb.Request{Text: strings.Repeat("s", 4000), Count: 1 << 20})
	if err == nil {
		_, err = stream.Recv()
		<-call.Done()
	}
	c.check(ctx, "a call that is not read", err, codes.DeadlineExceeded)
}

// reset opens streams and resets them, and cuts the connection within a frame, at most 50 times a second: it does not
// wait for the sidecar, which would have more and more of them to do.
func (c *churn) reset(ctx context.Context, random *rand.Rand, _ testpb.TestServiceClient) {
	conn, err := net.Dial("tcp", c.g.addr)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	raw, err := rawOn(conn)
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	defer pause(ctx, 20*time.Millisecond)
	for range random.IntN(50) {
		stream, err := raw.begin([]string{sleeping, attacked}[random.IntN(2)])
		if err != nil {
			return
		}
		if random.IntN(2) == 0 {
			_ = raw.framer.WriteData(stream, random.IntN(2) == 0, emptyMessage)
		}
		if random.IntN(4) > 0 {
			_ = raw.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
			c.resets.Add(1)
		}
	}
	_, _ = conn.Write([]byte{0, 1, 0, 0, 0, 0, 0, 0, 1, 'x'}[:1+random.IntN(10)])
	if tcp, ok := conn.(*net.TCPConn); ok && random.IntN(2) == 0 {
		_ = tcp.SetLinger(0) // RST
	}
}

// reload replaces the policy.
func (c *churn) reload(ctx context.Context, _ *rand.Rand, _ testpb.TestServiceClient) {
	c.save()
	c.g.signal(c.t, syscall.SIGHUP)
	pause(ctx, 200*time.Millisecond)
}

// pause waits until a time has passed or the context has ended.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
}

func (c *churn) save() {
	text := fmt.Sprintf(`version: 1
server:
  - {use: request_id}
  - {use: transform, header: {x-policy: p%d}}
  - {use: deadline, max: 1h}
`, c.policies.Add(1))
	err := errors.Join(os.WriteFile(c.policy+".new", []byte(text), 0o600), os.Rename(c.policy+".new", c.policy))
	if err != nil {
		c.t.Error(err)
	}
}
