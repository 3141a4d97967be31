package hauberk_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// flaky is a backend whose first calls fail with UNAVAILABLE and whose later ones
// echo. Each reports its attempt in header and trailer.
type flaky struct {
	*hauberktest.Backend

	calls atomic.Int64
}

func failing(times int64) *flaky {
	f := &flaky{}
	f.Backend = &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		n := f.calls.Add(1)
		attempt := metadata.Pairs("x-attempt", strconv.FormatInt(n, 10))
		s.SetTrailer(attempt)
		if n <= times {
			return status.Errorf(codes.Unavailable, "attempt %d", n)
		}
		if err := s.SetHeader(attempt); err != nil {
			return err
		}
		return hauberktest.Echo(ctx, s)
	}}
	return f
}

// retry is how an interceptor attempts a call again, in one body for all kinds.
func retry(attempts int) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(64 << 10)
		for n := 1; ; n++ {
			err := next(ctx, call)
			if n == attempts || status.Code(err) != codes.Unavailable {
				return err
			}
		}
	})
}

func TestRetry(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			var hooked atomic.Int64
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error {
					hooked.Add(1)
					return emit(msg)
				})
				return next(ctx, call)
			})
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error {
					changed := proto.CloneOf(msg.(*testpb.Request))
					changed.Text += "!"
					return emit(changed)
				})
				return next(metadata.AppendToOutgoingContext(ctx, "x-inner", "yes"), call)
			})
			backend := failing(2)
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: backend.Backend, Kind: kind,
				Client: hauberk.Must(hauberk.New(outer, j.tag("call"), retry(4), j.tag("attempt"), inner)),
			})
			texts := []string{"a", "b", "c"}
			if !kind.ClientStreams() {
				texts = texts[:1]
			}
			out := env.Call(t.Context(), texts...)
			wantCode(t, out.Err, codes.OK)
			var wanted []string
			for _, text := range texts {
				wanted = append(wanted, text+"!")
			}
			equal(t, "responses", out.Texts(), wantTexts(kind, wanted...))
			equal(t, "journal", j.all(), []string{
				"call in", "attempt in", "attempt out Unavailable", "attempt in", "attempt out Unavailable",
				"attempt in", "attempt out OK", "call out OK",
			})
			if got := hooked.Load(); got != int64(len(texts)) {
				t.Errorf("the hook outside the retry saw %d messages, want %d", got, len(texts))
			}
			equal(t, "header", out.Header.Get("x-attempt"), []string{"3"})
			equal(t, "trailer", out.Trailer.Get("x-attempt"), []string{"3"})
		})
	}
}

var allKinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// TestRetryGivesUp returns the last error.
func TestRetryGivesUp(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			backend := failing(10)
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend.Backend, Kind: kind, Client: hauberk.Must(hauberk.New(retry(3)))})
			out := env.Call(t.Context(), "a", "b")
			if got := status.Convert(out.Err).Message(); got != "attempt 3" {
				t.Errorf("got %v", out.Err)
			}
			if got := backend.calls.Load(); got != 3 {
				t.Errorf("%d attempts", got)
			}
		})
	}
}

// TestRetryEndsWithTheFirstResponse: once the application was given a message or
// the header, next makes no new attempt and returns the outcome again.
func TestRetryEndsWithTheFirstResponse(t *testing.T) {
	for _, what := range []string{"message", "header"} {
		for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
			t.Run(what+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var calls atomic.Int64
				read := make(chan struct{})
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					calls.Add(1)
					if what == "message" {
						_ = s.Send(&testpb.Response{Text: "first"})
					} else {
						_ = s.SendHeader(metadata.Pairs("x-h", "1"))
					}
					<-read
					return status.Error(codes.Unavailable, "then down")
				}}
				env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(retry(5)))})
				stream := open(t.Context(), t, env, kind)
				_ = stream.CloseSend()
				if what == "message" {
					if err := stream.RecvMsg(new(testpb.Response)); err != nil {
						t.Error(err)
					}
				} else if md, _ := stream.Header(); len(md.Get("x-h")) != 1 {
					t.Error(md)
				}
				close(read)
				wantCode(t, drain(stream), codes.Unavailable)
				if got := calls.Load(); got != 1 {
					t.Errorf("%d attempts, want 1", got)
				}
			})
		}
	}
}

// TestRetryOfARejection: what was rejected in this process is not attempted again.
func TestRetryOfARejection(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var asked atomic.Int64
			reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
				asked.Add(1)
				return hauberk.Reject(codes.Unavailable, "OPEN", "open")
			})
			env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Client: hauberk.Must(hauberk.New(retry(5), reject))})
			wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
			if got := asked.Load(); got != 1 {
				t.Errorf("asked %d times", got)
			}
		})
	}
}

// TestRetryWhileSending keeps sending through attempts that fail, and none of the
// messages is lost or doubled.
func TestRetryWhileSending(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			const n = 200
			var calls atomic.Int64
			got := make(chan []string, 1)
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				attempt := calls.Add(1)
				var texts []string
				for {
					req, err := s.Recv()
					if err == io.EOF {
						break
					}
					if err != nil {
						return err
					}
					texts = append(texts, req.GetText())
					if attempt < 4 && len(texts) == int(attempt)*10 {
						return status.Error(codes.Unavailable, "in the middle")
					}
				}
				got <- texts
				return s.Send(&testpb.Response{Text: "all"})
			}}
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(retry(5)))})
			stream, err := env.Conn.NewStream(t.Context(), descOf(kind), hauberktest.FullMethod(kind))
			if err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			var want []string
			for i := range n {
				want = append(want, strconv.Itoa(i))
			}
			sending.Go(func() {
				msg := new(testpb.Request) // one message, used again and again
				for _, text := range want {
					msg.Text = text
					if err := stream.SendMsg(msg); err != nil {
						t.Error(err)
					}
				}
				_ = stream.CloseSend()
			})
			if err := stream.RecvMsg(new(testpb.Response)); err != nil {
				t.Error(err)
			}
			sending.Wait()
			equal(t, "requests of the last attempt", <-got, want)
			if kind.ServerStreams() {
				if err := drain(stream); err != io.EOF {
					t.Error(err)
				}
			}
			if calls.Load() != 4 {
				t.Errorf("%d attempts", calls.Load())
			}
		})
	}
}

// TestReplayNeedsTheApplicationToRead: the server answers each request at once and
// more than flow control lets through unread, so that a replay gets stuck until
// the application, which is sending, comes to read.
func TestReplayNeedsTheApplicationToRead(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const n, size = 40, 16 << 10
	var calls atomic.Int64
	failed := make(chan struct{})
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if calls.Add(1) == 1 {
			for range n {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
			defer close(failed)
			return status.Error(codes.Unavailable, "after all of it")
		}
		for {
			if _, err := s.Recv(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.Send(&testpb.Response{Payload: make([]byte, size)}); err != nil {
				return err
			}
		}
	}}
	keep := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(10 << 20)
		if err := next(ctx, call); status.Code(err) != codes.Unavailable {
			return err
		}
		return next(ctx, call)
	})
	env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(keep))})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := env.Conn.NewStream(ctx, descOf(hauberk.Bidi), hauberktest.FullMethod(hauberk.Bidi))
	if err != nil {
		t.Fatal(err)
	}
	send := func(k int) {
		for range k {
			if err := stream.SendMsg(&testpb.Request{Payload: make([]byte, size)}); err != nil {
				t.Error(err)
			}
		}
	}
	send(n)
	<-failed
	received := make(chan int)
	go func() {
		count := 0
		for stream.RecvMsg(new(testpb.Response)) == nil {
			count++
		}
		received <- count
	}()
	send(n)
	_ = stream.CloseSend()
	if got := <-received; got != 2*n {
		t.Errorf("%d responses, want %d", got, 2*n)
	}
}

// TestReplayLimit: beyond its limit a stream is not kept, and fails as it would
// without the retry.
func TestReplayLimit(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var calls atomic.Int64
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		calls.Add(1)
		for range 3 {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "too late")
	}}
	env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(retry(5)))})
	stream, err := env.Conn.NewStream(t.Context(), descOf(hauberk.ClientStream), hauberktest.FullMethod(hauberk.ClientStream))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = stream.SendMsg(&testpb.Request{Payload: make([]byte, 40<<10)})
	}
	if err != io.EOF {
		t.Errorf("SendMsg: %v, want io.EOF", err)
	}
	wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Unavailable)
	if calls.Load() != 1 {
		t.Errorf("%d attempts, want 1", calls.Load())
	}
}

// hedge sends attempts until one succeeds: a second one when asked to.
func hedge(more <-chan struct{}) hauberk.Interceptor {
	type outcome struct {
		attempt *hauberk.Call
		err     error
	}
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		ctx, cancel := context.WithCancel(ctx)
		outcomes := make(chan outcome)
		running := 0
		start := func() {
			attempt := call.Attempt()
			running++
			go func() { outcomes <- outcome{attempt, next(ctx, attempt)} }()
		}
		defer func() {
			for cancel(); running > 0; running-- {
				<-outcomes
			}
		}()
		for start(); ; {
			select {
			case <-more:
				start()
			case out := <-outcomes:
				running--
				if running == 0 || out.err == nil {
					call.Adopt(out.attempt)
					return out.err
				}
			}
		}
	})
}

// TestHedge: the first attempt hangs, the second answers; the application gets
// the second's response, and the first ends.
func TestHedge(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var calls atomic.Int64
			more := make(chan struct{}, 1)
			hung := make(chan error, 1)
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				if calls.Add(1) == 1 {
					more <- struct{}{}
					<-ctx.Done()
					hung <- ctx.Err()
					return ctx.Err()
				}
				_ = s.SetHeader(metadata.Pairs("x-attempt", "2"))
				return hauberktest.Echo(ctx, s)
			}}
			var j journal
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: backend, Kind: kind, Client: hauberk.Must(hauberk.New(j.tag("call"), hedge(more))),
			})
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{Text: "x", Count: 3}})
			wantCode(t, out.Err, codes.OK)
			want := []string{"echo:x"}
			if kind == hauberk.ServerStream {
				want = []string{"echo:x", "echo:x", "echo:x"}
			}
			equal(t, "responses", out.Texts(), want)
			equal(t, "header", out.Header.Get("x-attempt"), []string{"2"})
			if err := <-hung; !errors.Is(err, context.Canceled) {
				t.Errorf("the loser ended with %v", err)
			}
			equal(t, "journal", j.all(), []string{"call in", "call out OK"})
		})
	}
}

// TestHedgeRace lets many attempts answer at once: one is delivered, whole.
func TestHedgeRace(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var calls atomic.Int64
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				name := strconv.FormatInt(calls.Add(1), 10)
				responses := 1
				if kind == hauberk.ServerStream {
					responses = 5
				}
				for range responses {
					if err := s.Send(&testpb.Response{Text: name}); err != nil {
						return err
					}
				}
				return nil
			}}
			more := make(chan struct{}, 1000)
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Kind: kind, Client: hauberk.Must(hauberk.New(hedge(more)))})
			for range 100 {
				for range 3 {
					more <- struct{}{}
				}
				out := env.Call(t.Context())
				wantCode(t, out.Err, codes.OK)
				texts := out.Texts()
				if want := slices.Repeat(texts[:1], len(texts)); !slices.Equal(texts, want) || kind == hauberk.ServerStream && len(texts) != 5 {
					t.Fatalf("mixed responses %q", texts)
				}
			}
		})
	}
}

// TestHedgeAllFail returns the error of the last.
func TestHedgeAllFail(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			more := make(chan struct{}, 2)
			more <- struct{}{}
			more <- struct{}{}
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: failing(100).Backend, Kind: kind, Client: hauberk.Must(hauberk.New(hedge(more))),
			})
			wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
		})
	}
}

// TestHedgeHeader: an application that asks for the header first gets that of the
// attempt whose messages it then gets.
func TestHedgeHeader(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var calls atomic.Int64
	more := make(chan struct{}, 1)
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		name := strconv.FormatInt(calls.Add(1), 10)
		if name == "1" {
			more <- struct{}{}
			return wait(ctx, s)
		}
		_ = s.SendHeader(metadata.Pairs("x-attempt", name))
		return s.Send(&testpb.Response{Text: name})
	}}
	env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(hedge(more)))})
	stream := open(t.Context(), t, env, hauberk.ServerStream)
	header, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "header", header.Get("x-attempt"), []string{"2"})
	resp := new(testpb.Response)
	if err := stream.RecvMsg(resp); err != nil || resp.GetText() != "2" {
		t.Error(resp, err)
	}
	if err := drain(stream); err != io.EOF {
		t.Error(err)
	}
}

// TestHedgeAdoptsMetadata: the header and the trailer of a stream with a single response are
// those of the attempt that was adopted, though another has ended after it.
func TestHedgeAdoptsMetadata(t *testing.T) {
	for _, outside := range [][]hauberk.Interceptor{nil, {hauberk.Func(idle)}, {again(2)}, {adapted()}} {
		synctest.Test(t, func(t *testing.T) {
			numbers := make(chan int, 2)
			numbers <- 1
			numbers <- 2
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				if <-numbers == 1 {
					if err := s.SetHeader(metadata.Pairs("who", "good")); err != nil {
						return err
					}
					s.SetTrailer(metadata.Pairs("who", "good"))
					return s.Send(response("good"))
				}
				sleep(time.Second)
				s.SetTrailer(metadata.Pairs("who", "bad"))
				return status.Error(codes.Unavailable, "bad")
			}}
			patientHedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				attempts := []*hauberk.Call{call.Attempt(), call.Attempt()}
				errs := make([]error, len(attempts))
				var running sync.WaitGroup
				for i, attempt := range attempts {
					running.Go(func() { errs[i] = next(ctx, attempt) })
				}
				running.Wait()
				i := slices.Index(errs, nil)
				call.Adopt(attempts[i])
				return errs[i]
			})
			stream := start(t.Context(), t, behind(t, backend, append(outside, patientHedge)...), hauberk.Unary)
			if err := stream.SendMsg(message("x")); err != nil {
				t.Fatal(err)
			}
			_ = stream.CloseSend()
			resp := new(testpb.Response)
			if err := stream.RecvMsg(resp); err != nil {
				t.Fatal(err)
			}
			header, err := stream.Header()
			equal(t, "who", append(append(header.Get("who"), stream.Trailer().Get("who")...), resp.GetText()), []string{"good", "good", "good"})
			wantCode(t, err, codes.OK)
		})
	}
}

// TestOverlapOfClientStreams is rejected with a clear error.
func TestOverlapOfClientStreams(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Client: hauberk.Must(hauberk.New(hedge(nil)))})
			wantCode(t, env.Call(t.Context()).Err, codes.Internal)
		})
	}
}

// TestAttemptsUndo: what an inner interceptor registers ends with its attempt.
func TestAttemptsUndo(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if got := len(call.Options()); got != 1 {
					t.Errorf("%d options, want 1", got)
				}
				call.AddOptions(grpc.WaitForReady(true))
				call.OnSend(func(msg any, emit func(any) error) error {
					changed := proto.CloneOf(msg.(*testpb.Request))
					changed.Text += "+"
					return emit(changed)
				})
				return next(ctx, call)
			})
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: failing(3).Backend, Kind: kind, Client: hauberk.Must(hauberk.New(retry(5), inner)),
			})
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{Text: "x"}}, grpc.WaitForReady(false))
			wantCode(t, out.Err, codes.OK)
			equal(t, "responses", out.Texts(), []string{"echo:x+"})
		})
	}
}

// TestCommitOnHeader: a response header commits a stream although the application has
// not asked for it, if an interceptor asked for that. A Trailers-Only response does not.
func TestCommitOnHeader(t *testing.T) {
	for _, asked := range []bool{false, true} {
		bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
			release := make(chan struct{})
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				err := s.SendHeader(nil)
				<-release
				return err
			}}
			var running *hauberk.Call
			env := hauberktest.Start(t, hauberktest.Setup{Backend: backend, Client: hauberk.Must(hauberk.New(hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if running = call; asked {
						call.CommitOnHeader()
					}
					return next(ctx, call)
				},
			)))})
			stream := open(t.Context(), t, env, kind)
			synctest.Wait()
			if got := running.Committed(); got != asked {
				t.Errorf("CommitOnHeader called: %t; Committed is %t", asked, got)
			}
			close(release)
			_ = stream.CloseSend()
			_ = drain(stream)
		})
	}
}

// TestCommitOnHeaderSparesTrailersOnly: attempts that end without a header are made
// again.
func TestCommitOnHeaderSparesTrailersOnly(t *testing.T) {
	commits := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.CommitOnHeader()
		return next(ctx, call)
	})
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			env := hauberktest.Start(t, hauberktest.Setup{
				Backend: failing(2).Backend, Kind: kind, Client: hauberk.Must(hauberk.New(retry(3), commits)),
			})
			wantCode(t, env.Call(t.Context(), "a").Err, codes.OK)
		})
	}
}
