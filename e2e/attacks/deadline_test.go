package attacks_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// trickle writes the bytes of a message one after the other, and never ends its side. It returns when the test or the
// connection ends.
func (c *rawConn) trickle(ctx context.Context, stream uint32, every time.Duration) {
	message := append([]byte{0, 0, 0, 0xff, 0xff}, make([]byte, 0xffff)...)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for _, b := range message {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if c.framer.WriteData(stream, false, []byte{b}) != nil {
			return
		}
	}
}

// TestX04SlowWriter: a client that sends a message byte by byte, and never the whole of it, is ended in all kinds of
// calls, by each of the timeouts. Its calls have no effect, and others on the server go on.
func TestX04SlowWriter(t *testing.T) {
	const timeout = 300 * time.Millisecond
	for name, config := range map[string]deadline.Config{
		"receive": {ReceiveTimeout: timeout}, "idle": {IdleTimeout: timeout}, "cap": {Max: timeout},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				to := serve(t, hauberk.Config{}, nil, deadline.New(config))
				conn := dialRaw(t, to.addr)
				stream, err := conn.begin(hauberktest.FullMethod(kind))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				trickled := make(chan struct{})
				go func() {
					defer close(trickled)
					conn.trickle(ctx, stream, timeout/20)
				}()
				results, err := conn.endOf(stream)
				cancel()
				<-trickled
				if want := strconv.Itoa(int(codes.DeadlineExceeded)); results != want {
					t.Errorf("the call ended with %q, %v; want %s", results, err, want)
				}
				if executed := to.ledger.take(); !kind.ClientStreams() && len(executed) > 0 {
					t.Errorf("%q was executed", executed)
				}
				to.wantCall(t, kind, codes.OK, "hello")
			})
		}
	}
}

// endOf reads until a call has ended and returns its status. It writes nothing: another goroutine does.
func (c *rawConn) endOf(stream uint32) (string, error) {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return "", err
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return "reset", nil
			}
		case *http2.GoAwayFrame:
			return "", fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		case *http2.MetaHeadersFrame:
			if end := statusIn(f); end != "" && f.StreamID == stream {
				return end, nil
			}
		}
	}
}

// TestX04NeverReads: a handler whose client does not read is released, by a timeout of its sends or of all messages. Its
// client need not be honest: it grants no window at all. Other calls go on, also on its connection.
func TestX04NeverReads(t *testing.T) {
	const timeout = 300 * time.Millisecond
	for name, config := range map[string]deadline.Config{
		"send": {SendTimeout: timeout}, "idle": {IdleTimeout: timeout}, "cap": {Max: timeout},
	} {
		for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				released := make(chan error, 1)
				flood := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					var err error
					for err == nil {
						err = s.Send(&testpb.Response{Payload: make([]byte, 1<<14)})
					}
					released <- ctx.Err()
					return err
				}}
				chain := hauberk.Must(hauberk.New(deadline.New(config)))
				srv := chain.NewServer()
				testpb.RegisterTestServiceServer(srv, flood)
				lis, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(lis) }()
				defer func() {
					srv.Stop()
					if err := <-served; err != nil {
						t.Error(err)
					}
				}()
				conn := dialRaw(t, lis.Addr().String())
				for range 3 { // the second and third show that the first holds nothing up
					if _, err := conn.send(hauberktest.FullMethod(kind)); err != nil {
						t.Fatal(err)
					}
					if err := <-released; err == nil {
						t.Error("the handler was released, and its context is not done")
					}
				}
			})
		}
	}
}

// TestR05BudgetOfServers: a client with retries and a deadline calls a server that calls a slow backend. The time left shrinks
// with each hop and attempt, the callers get DEADLINE_EXCEEDED at their deadlines, and the backend executes nothing after them. The
// time is simulated.
func TestR05BudgetOfServers(t *testing.T) {
	const limit, margin = time.Second, 50 * time.Millisecond
	for _, kind := range kinds {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var lefts []time.Duration // of the ledger: what each execution was given
			var late int
			backend := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, &hauberktest.Backend{
				Handle: func(ctx context.Context, _ hauberktest.Stream) error {
					at, _ := ctx.Deadline()
					lefts = append(lefts, time.Until(at))
					if time.Since(begin) >= limit {
						late++
					}
					select {
					case <-time.After(300 * time.Millisecond):
						return status.Error(codes.Unavailable, "down")
					case <-ctx.Done():
						return ctx.Err()
					}
				},
			})
			server := hauberk.Must(hauberk.New(deadline.New(deadline.Config{Margin: margin, EndEarly: true})))
			client := hauberk.Must(hauberk.New(
				deadline.New(deadline.Config{Default: limit}),
				retry.New(retry.Config{
					AllMethods: true, MaxAttempts: 9, MaxReplayBytes: 1 << 10, InitialBackoff: 10 * time.Millisecond,
					BackoffMultiplier: 1, NoJitter: true,
				}),
			))
			var hops []codes.Code
			env := hauberktest.Start(t, hauberktest.Setup{
				Server: server, Client: client, Kind: kind,
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
					err := backend.Call(ctx).Err
					hops = append(hops, status.Code(err))
					return err
				}},
			})
			out := env.Call(t.Context())
			if took := time.Since(begin); status.Code(out.Err) != codes.DeadlineExceeded || took > limit+50*time.Millisecond {
				t.Errorf("%s: the call ended with %v after %v", kind, out.Err, took)
			}
			<-time.After(time.Minute)
			synctest.Wait()
			if len(lefts) < 3 || late > 0 || lefts[0] > limit-margin {
				t.Errorf("%s: the executions had %v, %d of them late", kind, lefts, late)
			}
			for i := 1; i < len(lefts); i++ {
				if lefts[i] >= lefts[i-1] {
					t.Errorf("%s: the time left did not shrink: %v", kind, lefts)
				}
			}
			if last := len(hops) - 1; last < 0 || hops[last] != codes.DeadlineExceeded {
				t.Errorf("%s: the calls of the server ended with %v", kind, hops)
			}
		})
	}
}
