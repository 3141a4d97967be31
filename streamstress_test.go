package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	authns "github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	retries "github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// The tests of this file make many calls at once. What happens to a call follows from
// a seed in its metadata, which client and server share; seeds are fixed here, and go
// on without end in TestSoakStreams.

// chance is a source of random numbers for one goroutine at a time, which, unlike one
// behind a mutex, hides no data race.
type chance struct{ *rand.Rand }

// chanceOf returns the random numbers of a call for one place in it.
func chanceOf(seed []string, place uint64) chance {
	n := uint64(0)
	if len(seed) > 0 {
		n, _ = strconv.ParseUint(seed[0], 10, 64)
	}
	return chance{rand.New(rand.NewPCG(n, place))}
}

func (c chance) oneIn(n int) bool { return c.IntN(n) == 0 }

// yield lets others run, up to n times.
func (c chance) yield(n int) {
	for range c.IntN(n) {
		runtime.Gosched()
	}
}

// load is how many calls a stress test makes, on how many goroutines.
type load struct {
	goroutines int
	more       func(n int) bool // whether a goroutine makes another call after n
	seed       uint64
}

// calls returns a load of a number of calls for each of eight goroutines.
func calls(n int) load { return load{8, func(made int) bool { return made < n }, 9} }

// run makes the calls. It fails the test when none ends for long.
func (l load) run(t *testing.T, call func(ctx context.Context, c chance) error) (made int) {
	t.Helper()
	var all sync.WaitGroup
	var bad atomic.Int64
	ended := make(chan struct{})
	for g := range l.goroutines {
		all.Go(func() {
			for n := 0; l.more(n) && bad.Load() < 5; n++ {
				seed := strconv.FormatUint(l.seed<<32+uint64(g)<<24+uint64(n), 10)
				ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "seed", seed), time.Minute)
				if err := call(ctx, chanceOf([]string{seed}, 1)); err != nil {
					bad.Add(1)
					t.Errorf("seed %s: %v", seed, err)
				}
				cancel()
				ended <- struct{}{}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	for {
		select {
		case <-ended:
			made++
		case <-done:
			return made
		case <-time.After(2 * time.Minute):
			buf := make([]byte, 1<<20)
			t.Fatalf("calls hang after %d\n%s", made, buf[:runtime.Stack(buf, true)])
		}
	}
}

var quiet = slog.New(slog.DiscardHandler)

// TestStreamStress runs each of stresses for a bounded number of calls.
func TestStreamStress(t *testing.T) {
	for name, stress := range stresses {
		n := 250
		if name == "retried" {
			n = 25 // of 200 messages, 50 attempts at most
		}
		t.Run(name, func(t *testing.T) { stress(t, calls(n)) })
	}
}

// TestSoakStreams is TestStreamStress for as long as HAUBERK_SOAK says, with new seeds.
func TestSoakStreams(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("HAUBERK_SOAK"))
	if err != nil {
		t.Skip("HAUBERK_SOAK holds no duration")
	}
	for name, stress := range stresses {
		t.Run(name, func(t *testing.T) {
			end := time.Now().Add(length / time.Duration(len(stresses)))
			stress(t, load{8, func(int) bool { return time.Now().Before(end) }, uint64(rand.Uint32())})
		})
	}
}

var stresses = map[string]func(t *testing.T, l load){
	"retried":      stressRetries,
	"ended anyhow": stressEnds,
	"hedged":       stressHedges,
	"on a server":  stressServer,
}

// stressRetries makes bidirectional calls whose attempts fail at any message: the
// attempt that succeeds has each message once and in order, and so has the
// application; what outer interceptors count are the application's messages.
func stressRetries(t *testing.T, l load) {
	hauberktest.CheckLeaks(t)
	const messages = 100
	var attempts atomic.Uint64
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		c := chance{rand.New(rand.NewPCG(attempts.Add(1), l.seed))}
		failAt := -1
		if !c.oneIn(3) {
			failAt = c.IntN(messages)
		}
		for i := 0; ; i++ {
			if i == failAt {
				return status.Error(codes.Unavailable, "at random")
			}
			req, err := s.Recv()
			if err == io.EOF && failAt >= 0 && c.oneIn(2) {
				return status.Error(codes.Unavailable, "at the end")
			}
			if err == io.EOF {
				if i != messages {
					return status.Errorf(codes.DataLoss, "%d messages", i)
				}
				for n := range messages {
					if err := s.Send(response(strconv.Itoa(n))); err != nil {
						return err
					}
				}
				return nil
			}
			if err != nil {
				return err
			}
			if req.GetText() != strconv.Itoa(i) {
				return status.Errorf(codes.DataLoss, "message %d is %q", i, req.GetText())
			}
		}
	}}
	m := metrics.New(metrics.Config{})
	conn := behind(t, backend, m, retries.New(retries.Config{
		NoBudget: true, AllMethods: true, MaxAttempts: 50, MaxReplayBytes: 1 << 20,
		InitialBackoff: 1, MaxBackoff: 1, NoJitter: true,
	}), breaker.New(breaker.Config{FailureThreshold: 1 << 30}))
	made := l.run(t, func(ctx context.Context, _ chance) error {
		stream, err := conn.NewStream(ctx, descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
		if err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			for i := range messages {
				if err := stream.SendMsg(message(strconv.Itoa(i))); err != nil {
					sent <- fmt.Errorf("send %d: %w", i, err)
					return
				}
			}
			sent <- stream.CloseSend()
		}()
		for i := 0; ; i++ {
			resp := new(testpb.Response)
			err := stream.RecvMsg(resp)
			if err == io.EOF && i == messages {
				return <-sent
			}
			if err != nil {
				return fmt.Errorf("receive %d: %w", i, err)
			}
			if resp.GetText() != strconv.Itoa(i) {
				return fmt.Errorf("response %d is %q", i, resp.GetText())
			}
		}
	})
	s := m.Snapshot().Client.Methods[hauberktest.FullMethod(hauberk.Bidi)]
	if want := uint64(made) * messages; s.Sent != want || s.Received != want || s.InFlight != 0 {
		t.Errorf("%d calls: %d sent and %d received, want %d of each; %d in flight", made, s.Sent, s.Received, want, s.InFlight)
	}
}

// misfortune is what may happen at one place of a call.
func misfortune(c chance) error {
	switch c.IntN(12) {
	case 0:
		return status.Error(codes.Unavailable, "at random")
	case 1:
		return status.Error(codes.InvalidArgument, "at random")
	case 2:
		return errors.New("plain")
	case 3:
		if c.oneIn(4) {
			panic("at random")
		}
	case 4:
		c.yield(100)
	}
	return nil
}

// unlucky is an interceptor that meets misfortune before and after next, and in hooks.
func unlucky(place uint64) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		seed := call.Metadata(ctx, "seed")
		c, sending, receiving := chanceOf(seed, place), chanceOf(seed, place+1), chanceOf(seed, place+2)
		exhausted := status.Error(codes.ResourceExhausted, "hook")
		if c.oneIn(2) {
			call.OnSend(func(msg any, emit func(any) error) error {
				if sending.oneIn(30) {
					return exhausted
				}
				return emit(msg)
			})
		}
		if c.oneIn(2) {
			call.OnReceive(func(any) (bool, error) {
				if receiving.oneIn(30) {
					return false, exhausted
				}
				return true, nil
			})
		}
		if err := misfortune(c); err != nil {
			return err
		}
		err := next(ctx, call)
		if bad := misfortune(c); bad != nil {
			return bad
		}
		return err
	})
}

// anyhow makes a call of a kind and ends it in any way.
func anyhow(ctx context.Context, conn grpc.ClientConnInterface, c chance, kind hauberk.Kind, opts ...grpc.CallOption) {
	if kind == hauberk.Unary {
		_ = conn.Invoke(ctx, hauberktest.FullMethod(kind), message("a"), new(testpb.Response), opts...)
		return
	}
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), opts...)
	if err != nil {
		return
	}
	n, closes, abandons := 1, !c.oneIn(4), c.oneIn(8)
	if kind.ClientStreams() {
		n = c.IntN(20)
	}
	var using sync.WaitGroup
	using.Go(func() {
		for i := range n {
			if stream.SendMsg(&testpb.Request{Text: "a", Count: int32(i % 5)}) != nil {
				break
			}
		}
		if closes {
			_ = stream.CloseSend()
		}
	})
	if c.oneIn(3) {
		using.Go(func() { _, _ = stream.Header() })
	}
	for range 200 {
		if abandons || stream.RecvMsg(new(testpb.Response)) != nil {
			break
		}
	}
	using.Wait()
	if !abandons {
		_ = stream.Trailer()
	}
}

// stressEnds makes calls of all kinds that end anyhow at any time, with chains on both
// sides: nothing hangs or leaks, each call finishes once, and no count is left over.
func stressEnds(t *testing.T, l load) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		c := chanceOf(metadata.ValueFromIncomingContext(ctx, "seed"), 100)
		if err := misfortune(c); err != nil {
			return err
		}
		if c.oneIn(2) {
			_ = s.SendHeader(metadata.Pairs("x", "y"))
		}
		if c.oneIn(10) {
			return wait(ctx, s)
		}
		return hauberktest.Echo(ctx, s)
	}}
	onServer, onClient := metrics.New(metrics.Config{CountBytes: true, Decisions: true}), metrics.New(metrics.Config{CountBytes: true, Decisions: true})
	guard := func() hauberk.Interceptor { return recovery.New(recovery.Config{}, recovery.WithLogger(quiet)) }
	oddly := func(call *hauberk.Call) bool { return call.Kind() != hauberk.ClientStream }
	client := hauberk.Must(hauberk.Config{CountBytes: true}.New(requestid.New(requestid.Config{}), onClient,
		logging.New(logging.Config{ClientPeer: true, Messages: true}, logging.WithLogger(quiet)), guard(), unlucky(10),
		retries.New(retries.Config{
			NoBudget: true, AllMethods: true, MaxReplayBytes: 1 << 16,
			InitialBackoff: time.Microsecond, PerAttemptTimeout: 20 * time.Millisecond,
		}),
		breaker.New(breaker.Config{FailureThreshold: 1 << 30}), hauberk.When(oddly, adapted()), unlucky(20)))
	server := hauberk.Must(hauberk.Config{CountBytes: true}.New(requestid.New(requestid.Config{}), onServer,
		logging.New(logging.Config{Messages: true}, logging.WithLogger(quiet)), guard(), unlucky(30)))
	env := hauberktest.Start(t, hauberktest.Setup{
		Backend: backend, Client: client, Server: server,
		ServerOptions: []grpc.ServerOption{grpc.MaxConcurrentStreams(1000)},
	})
	finished := make(chan struct{}, 1<<16)
	made := l.run(t, func(ctx context.Context, c chance) error {
		var p peer.Peer
		var header metadata.MD
		opts := []grpc.CallOption{grpc.OnFinish(func(error) { finished <- struct{}{} })}
		if c.oneIn(2) {
			opts = append(opts, grpc.Peer(&p), grpc.Header(&header))
		}
		ctx, cancel := context.WithTimeout(ctx, time.Duration(1+c.IntN(30))*time.Millisecond)
		defer cancel()
		if c.oneIn(3) {
			own := chance{rand.New(rand.NewPCG(c.Uint64(), 0))}
			go func() {
				own.yield(300)
				cancel()
			}()
		}
		anyhow(ctx, env.Conn, c, allKinds[c.IntN(4)], opts...)
		return nil
	})
	within(t, "OnFinish of each call", func() {
		for range made {
			<-finished
		}
	})
	env.Server.GracefulStop()
	if len(finished) > 0 {
		t.Errorf("OnFinish was called %d times too often", len(finished))
	}
	noneLeft(t, onClient.Snapshot().Client)
	noneLeft(t, onServer.Snapshot().Server)
}

// noneLeft expects that no call is in flight, and no count below zero.
func noneLeft(t *testing.T, side metrics.SideSnapshot) {
	t.Helper()
	for method, s := range side.Methods {
		if s.InFlight != 0 || s.Sent > 1<<40 || s.Received > 1<<40 {
			t.Errorf("%s: %d in flight, %d sent, %d received", method, s.InFlight, s.Sent, s.Received)
		}
	}
}

// stressHedges makes hedged calls: the application gets the responses, the header and
// the trailer of one attempt, whole.
func stressHedges(t *testing.T, l load) {
	hauberktest.CheckLeaks(t)
	var ids atomic.Int64
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		id := strconv.FormatInt(ids.Add(1), 10)
		c := chanceOf([]string{id}, 100)
		c.yield(200)
		if c.oneIn(5) {
			return status.Error(codes.Unavailable, "at random")
		}
		set := s.SetHeader
		if c.oneIn(2) {
			set = s.SendHeader
		}
		if err := set(metadata.Pairs("x-id", id)); err != nil {
			return err
		}
		s.SetTrailer(metadata.Pairs("x-id", id))
		n := 5
		if s.Method() == hauberktest.FullMethod(hauberk.Unary) {
			n = 1
		}
		for range n {
			if err := s.Send(response(id)); err != nil {
				return err
			}
			c.yield(10)
		}
		return nil
	}}
	hedging := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		more := make(chan struct{}, 2)
		c := chanceOf(call.Metadata(ctx, "seed"), 10)
		go func() {
			c.yield(200)
			more <- struct{}{}
			more <- struct{}{}
		}()
		return hedge(more).Intercept(ctx, call, next)
	})
	m := metrics.New(metrics.Config{})
	env := hauberktest.Start(t, hauberktest.Setup{
		Backend: backend, ServerOptions: []grpc.ServerOption{grpc.MaxConcurrentStreams(1000)},
		Client: hauberk.Must(hauberk.New(m, hedging, retries.New(retries.Config{NoBudget: true, AllMethods: true, InitialBackoff: time.Microsecond}))),
	})
	l.run(t, func(ctx context.Context, c chance) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		kind := hauberk.ServerStream
		if c.oneIn(2) {
			kind = hauberk.Unary
		}
		got, err := hedged(ctx, env.Conn, kind, c.oneIn(2))
		if err != nil {
			return nil // all attempts may fail
		}
		n := 5
		if kind == hauberk.Unary {
			n = 1
		}
		for _, id := range got {
			if id != got[0] {
				n = 0
			}
		}
		if len(got) != n+2 {
			return fmt.Errorf("got the header, the trailer and the messages %q", got)
		}
		return nil
	})
	noneLeft(t, m.Snapshot().Client)
}

// hedged makes a call and returns the number of the attempt as the header, the trailer
// and each message have it.
func hedged(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind, headerFirst bool) (ids []string, err error) {
	var header, trailer metadata.MD
	if kind == hauberk.Unary {
		resp := new(testpb.Response)
		err = conn.Invoke(ctx, hauberktest.FullMethod(kind), message("a"), resp, grpc.Header(&header), grpc.Trailer(&trailer))
		return append(append(header.Get("x-id"), trailer.Get("x-id")...), resp.GetText()), err
	}
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(stream.SendMsg(message("a")), stream.CloseSend()); err != nil {
		return nil, err
	}
	if headerFirst {
		header, _ = stream.Header()
	}
	for {
		resp := new(testpb.Response)
		if err := stream.RecvMsg(resp); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		ids = append(ids, resp.GetText())
	}
	if !headerFirst {
		header, _ = stream.Header()
	}
	return append(append(header.Get("x-id"), stream.Trailer().Get("x-id")...), ids...), nil
}

// stressServer makes calls of a server with adapters, with identities that expire at
// any time, and with handlers that leave goroutines behind: all of them end.
func stressServer(t *testing.T, l load) {
	hauberktest.CheckLeaks(t)
	var left sync.WaitGroup
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		c := chanceOf(metadata.ValueFromIncomingContext(ctx, "seed"), 100)
		if s.Method() == hauberktest.FullMethod(hauberk.Bidi) && c.oneIn(3) {
			left.Go(func() {
				for {
					if _, err := s.Recv(); err != nil {
						return
					}
				}
			})
			left.Go(func() {
				for range 50 {
					if s.Send(response("late")) != nil {
						return
					}
				}
			})
			c.yield(100)
			logging.AddFields(ctx, slog.Int("n", 1))
			if c.oneIn(5) {
				panic("at random")
			}
			return status.Error(codes.Aborted, "left")
		}
		if c.oneIn(5) {
			return wait(ctx, s)
		}
		return hauberktest.Echo(ctx, s)
	}}
	foreign := hauberk.FromServer(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			return h(ctx, req)
		},
		func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, struct{ grpc.ServerStream }{ss})
		})
	counting := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		c := chanceOf(call.Metadata(ctx, "seed"), 10)
		var n atomic.Int64 // a hook may be running when next has returned
		call.OnReceive(func(any) (bool, error) {
			n.Add(1)
			if c.oneIn(40) {
				return false, status.Error(codes.ResourceExhausted, "hook")
			}
			return true, nil
		})
		err := next(ctx, call)
		n.Add(1)
		return err
	})
	validate := func(ctx context.Context, _ string) (*authns.Identity, error) {
		c := chanceOf(metadata.ValueFromIncomingContext(ctx, "seed"), 20)
		return &authns.Identity{Subject: "me", Expires: time.Now().Add(time.Duration(1+c.IntN(3000)) * time.Microsecond)}, nil
	}
	m := metrics.New(metrics.Config{CountBytes: true, Decisions: true})
	chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(requestid.New(requestid.Config{}), m,
		logging.New(logging.Config{Messages: true, Queue: 100}, logging.WithLogger(quiet), logging.State("user", authns.User)),
		recovery.New(recovery.Config{}, recovery.WithLogger(quiet)), counting, foreign,
		authns.New(authns.Config{ExpireUnary: true}, authns.Bearer(validate)), counting, foreign,
		ratelimit.New(ratelimit.Config{Limit: 1 << 20, Per: time.Second, By: callkey.State(authns.User)}), counting))
	env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Server: chain, ServerOptions: []grpc.ServerOption{grpc.MaxConcurrentStreams(1000)}})
	l.run(t, func(ctx context.Context, c chance) error {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x"), time.Duration(1+c.IntN(30))*time.Millisecond)
		defer cancel()
		anyhow(ctx, env.Conn, c, allKinds[c.IntN(4)])
		return nil
	})
	env.Server.GracefulStop()
	within(t, "a goroutine that a handler left behind", left.Wait)
	noneLeft(t, m.Snapshot().Server)
}
