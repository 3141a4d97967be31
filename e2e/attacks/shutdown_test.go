package attacks_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestD01TermUnderLoad: at 1,000 calls a second a sidecar is started, and the one before ends by SIGTERM. No call
// fails, each is executed once, and the sidecars end with exit code 0.
func TestD01TermUnderLoad(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) { termUnderLoad(t, flag, 2) })
}

// TestSoakD01TermUnderLoad is the same with 20 rounds.
func TestSoakD01TermUnderLoad(t *testing.T) {
	_ = soakTime(t)
	eachTransport(t, func(t *testing.T, flag string) { termUnderLoad(t, flag, 20) })
}

func termUnderLoad(t *testing.T, flag string, rounds int) {
	t.Helper()
	upstream, executed := serveCounting(t)
	start := func() *gate { return launch(t, "", "--upstream", upstream, flag) }
	old := start()
	list := manual.NewBuilderWithScheme("sidecars")
	list.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: old.addr}}})
	conn := must(grpc.NewClient("sidecars:///all", grpc.WithResolvers(list),
		grpc.WithTransportCredentials(insecure.NewCredentials())))
	t.Cleanup(func() { _ = conn.Close() })
	l := startLoad(t.Context(), 1000, conn)
	defer l.stop()
	served := 0
	end := func(g *gate) {
		if err := g.wait(t); err != nil {
			t.Errorf("the sidecar ended with %v", err)
		}
		served += must(strconv.Atoi(g.stderr.find(t, `(?m)^hauberk: stopped; (\d+) calls, 0 failed$`)))
	}
	for range rounds {
		l.await(100)
		next := start()
		list.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: old.addr}, {Addr: next.addr}}})
		old.signal(t, syscall.SIGTERM)
		l.await(100)
		end(old)
		old = next
	}
	calls, failed := l.check(t, executed)
	old.signal(t, syscall.SIGTERM)
	end(old)
	if failed > 0 || served != calls {
		t.Errorf("%d of %d calls failed, and the sidecars counted %d", failed, calls, served)
	}
	t.Logf("%d calls, %d ends of the sidecar", calls, rounds)
}

// TestD01CallAfterGoAway: a call that a client has sent before it has received GOAWAY is served. The sidecar announces
// the last call only when the client has answered a PING.
func TestD01CallAfterGoAway(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		upstream, _ := serveCounting(t)
		g := launch(t, "", "--upstream", upstream, flag)
		c := g.raw(t)
		c.wantAlive(t)
		running := must(c.begin(sleeping))
		c.wantAlive(t)
		g.signal(t, syscall.SIGTERM)
		var ping *[8]byte // not answered yet
		var late uint32
		ended := ""       // the status of the late call
		var last []uint32 // of each GOAWAY
		for len(last) < 2 {
			switch f := must(c.framer.ReadFrame()).(type) {
			case *http2.PingFrame:
				ping = new(f.Data)
			case *http2.GoAwayFrame:
				if last = append(last, f.LastStreamID); len(last) == 1 {
					late = must(c.send(hauberktest.FullMethod(hauberk.Unary)))
				}
			case *http2.MetaHeadersFrame:
				if f.StreamID == late {
					ended = statusIn(f)
				}
			}
			if ended != "" && ping != nil {
				if err := c.framer.WritePing(true, *ping); err != nil {
					t.Fatal(err)
				}
				ping = nil
			}
		}
		if ended != "0" {
			t.Errorf("the late call ended with %q", ended)
		}
		if last[0] != 1<<31-1 || last[1] != running+4 {
			t.Errorf("GOAWAY has the last streams %d; want 2^31-1, %d", last, running+4)
		}
		if err := c.framer.WriteData(running, true, nil); err != nil {
			t.Fatal(err)
		}
		if s := c.outcome(t, running); s != "0" {
			t.Errorf("the running call ended with %s", s)
		}
		if err := g.wait(t); err != nil {
			t.Errorf("the sidecar ended with %v", err)
		}
	})
}

// TestD02StreamsWithoutEnd: streams without an end, a client that reads nothing, and connections that their clients
// keep open do not keep the sidecar: the streams end with UNAVAILABLE, and the process with exit code 0.
func TestD02StreamsWithoutEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		g := launch(t, "", "--upstream", serve(t, hauberk.Config{}, nil).addr, "--drain", "300ms", flag)
		client := testpb.NewTestServiceClient(g.dial(t))
		bidi := must(client.Bidi(t.Context()))
		upload := must(client.ClientStream(t.Context()))
		unread := must(client.ServerStream(t.Context(), &testpb.Request{Text: strings.Repeat("x", 1000), Count: 1 << 20}))
		for _, stream := range []interface {
			Send(req *testpb.Request) error
		}{bidi, upload} {
			if err := stream.Send(&testpb.Request{Text: "first"}); err != nil {
				t.Fatal(err)
			}
		}
		_ = must(bidi.Recv())
		_ = must(unread.Recv())
		silent := g.raw(t) // it keeps its connection, and reads and answers nothing
		_ = must(silent.begin(sleeping))
		_ = must(silent.send(hauberktest.FullMethod(hauberk.ServerStream)))
		idle := g.raw(t)
		idle.wantAlive(t)

		g.signal(t, syscall.SIGTERM)
		if err := g.wait(t); err != nil {
			t.Errorf("the sidecar ended with %v", err)
		}
		g.stderr.find(t, `(?m)^hauberk: (drain time exceeded); the remaining calls were cancelled$`)
		_, err := upload.CloseAndRecv()
		for name, err := range map[string]error{"bidi": toEnd(bidi), "client stream": err, "server stream": toEnd(unread)} {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("the %s ends with %v; want UNAVAILABLE", name, err)
			}
		}
	})
}

// TestD04KillSidecar: the sidecar is killed under load, and started again. Only calls in flight fail, with UNAVAILABLE,
// none is executed twice, and calls are served again.
func TestD04KillSidecar(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		upstream, executed := serveCounting(t)
		g := launch(t, "", "--upstream", upstream, flag)
		conn := g.dial(t)
		l := startLoad(t.Context(), 500, conn)
		defer l.stop()
		for range 3 {
			l.await(100)
			g.signal(t, syscall.SIGKILL)
			if err := g.wait(t); err == nil {
				t.Error("the sidecar ended with exit code 0")
			}
			g = launch(t, "", "--upstream", upstream, flag, "--listen", g.addr)
			wantServed(t, conn)
		}
		calls, failed := l.check(t, executed)
		t.Logf("%d calls, %d failed", calls, failed)
		if failed == 0 || failed == calls {
			t.Errorf("%d of %d calls failed", failed, calls)
		}
	})
}

// TestD04KillBackend: the backend is killed under load, and started again. Only calls in flight and those made while it
// is down fail, with UNAVAILABLE, none is executed twice, and the sidecar serves again.
func TestD04KillBackend(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		path := filepath.Join(t.TempDir(), "ledger")
		b := startBackend(t, "127.0.0.1:0", path)
		g := launch(t, "", "--upstream", b.addr, flag)
		t.Cleanup(func() { g.stop(t) })
		conn := g.dial(t)
		l := startLoad(t.Context(), 500, conn)
		defer l.stop()
		for range 3 {
			l.await(100)
			b.kill()
			l.await(50)
			b = startBackend(t, b.addr, path)
			wantServed(t, conn)
		}
		l.stop()
		calls, failed := l.check(t, b.executed(t))
		t.Logf("%d calls, %d failed", calls, failed)
		if failed == 0 || failed == calls {
			t.Errorf("%d of %d calls failed", failed, calls)
		}
	})
}

// wantServed makes calls until one succeeds. Those before fail with UNAVAILABLE.
func wantServed(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	client := testpb.NewTestServiceClient(conn)
	for {
		_, err := client.Unary(t.Context(), &testpb.Request{}, grpc.WaitForReady(true))
		if err == nil {
			return
		}
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("after the start a call ends with %v", err)
		}
	}
}

// TestD06SecondSignal: whichever signals come first and second, the second ends the process, even if a call runs.
func TestD06SecondSignal(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		upstream, _ := serveCounting(t)
		for _, first := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
				g := launch(t, "", "--upstream", upstream, flag)
				c := g.raw(t)
				_ = must(c.begin(sleeping))
				c.wantAlive(t)
				g.signal(t, first)
				g.stderr.find(t, `(?m)^hauberk: (shutting down);`)
				g.signal(t, second)
				_ = g.wait(t)
				if ws, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != second {
					t.Errorf("after %v and %v the process ended with %v", first, second, g.err)
				}
			}
		}
	})
}

// TestD06Reloads: 200 SIGHUP and 50 new policies under load lose no call. After SIGTERM they change nothing: the
// running call ends as it would have, and the process ends with exit code 0.
func TestD06Reloads(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) {
		upstream, executed := serveCounting(t)
		path := filepath.Join(t.TempDir(), "policy.yaml")
		saves := 0
		storm := func(g *gate, signals int) {
			for i := range signals {
				if i%4 == 0 {
					saves++
					text := "version: 1\nserver:\n  - {use: transform, header: {x-save: s" + strconv.Itoa(saves) + "}}\n"
					if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
						t.Fatal(err)
					}
				}
				if g != nil {
					g.signal(t, syscall.SIGHUP)
				}
			}
		}
		storm(nil, 1)
		g := launch(t, "", "--upstream", upstream, flag, "--config", path)
		conn := g.dial(t)
		l := startLoad(t.Context(), 500, conn)
		defer l.stop()
		for range 4 {
			l.await(20)
			storm(g, 50)
		}
		running := must(testpb.NewTestServiceClient(conn).Bidi(t.Context()))
		if err := running.Send(&testpb.Request{Text: "1"}); err != nil {
			t.Fatal(err)
		}
		_ = must(running.Recv())
		if calls, failed := l.check(t, executed); failed > 0 {
			t.Errorf("%d of %d calls failed", failed, calls)
		}
		g.signal(t, syscall.SIGTERM)
		g.stderr.find(t, `(?m)^hauberk: (shutting down);`)
		storm(g, 50)
		if err := errors.Join(running.Send(&testpb.Request{Text: "2"}), running.CloseSend()); err != nil {
			t.Fatal(err)
		}
		if resp, err := running.Recv(); err != nil || resp.GetText() != "echo:2" {
			t.Errorf("the running call received %v, %v", resp, err)
		}
		if _, err := running.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the running call ended with %v", err)
		}
		for ended := false; !ended; { // also while the process ends
			select {
			case <-g.ended:
				ended = true
			default:
				_ = g.cmd.Process.Signal(syscall.SIGHUP)
			}
		}
		if err := g.wait(t); err != nil {
			t.Errorf("the sidecar ended with %v", err)
		}
	})
}

// TestD07ConnectionAge: connections of clients end by age while calls run on them. No call fails.
func TestD07ConnectionAge(t *testing.T) {
	eachTransport(t, func(t *testing.T, flag string) { connectionAge(t, flag, 500) })
}

// TestSoakD07ConnectionAge is the same with 50,000 calls.
func TestSoakD07ConnectionAge(t *testing.T) {
	_ = soakTime(t)
	eachTransport(t, func(t *testing.T, flag string) { connectionAge(t, flag, 50_000) })
}

func connectionAge(t *testing.T, flag string, atLeast int) {
	t.Helper()
	upstream, executed := serveCounting(t)
	g := launch(t, "", "--upstream", upstream, flag, "--max-connection-age", "100ms")
	t.Cleanup(func() { g.stop(t) })
	var conns []grpc.ClientConnInterface
	var dials atomic.Int64
	for range 10 {
		conns = append(conns, g.dial(t, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		})))
	}
	l := startLoad(t.Context(), 500, conns...)
	defer l.stop()
	l.await(atLeast)
	calls, failed := l.check(t, executed)
	if failed > 0 || dials.Load() < 2*int64(len(conns)) {
		t.Errorf("%d of %d calls on %d connections failed", failed, calls, dials.Load())
	}
	t.Logf("%d calls on %d connections", calls, dials.Load())
}
