package hauberk_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about interceptors of grpc-go whose streams open with the first message, as
// those of github.com/GoogleCloudPlatform/grpc-gcp-go do: before that, most methods of the stream panic.

// lazyStream is a stream that opens with its first message.
type lazyStream struct {
	grpc.ClientStream

	mu   sync.Mutex
	cond sync.Cond
	err  error
	open func(msg any) (grpc.ClientStream, error)
}

func (l *lazyStream) SendMsg(msg any) error {
	l.mu.Lock()
	if l.ClientStream == nil {
		l.ClientStream, l.err = l.open(msg)
		l.cond.Broadcast()
	}
	stream, err := l.ClientStream, l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return stream.SendMsg(msg)
}

// RecvMsg waits for the opening, and for nothing else.
func (l *lazyStream) RecvMsg(msg any) error {
	l.mu.Lock()
	for l.err == nil && l.ClientStream == nil {
		l.cond.Wait()
	}
	stream, err := l.ClientStream, l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return stream.RecvMsg(msg)
}

// opensLazily is an interceptor of grpc-go with such streams. The text "no" cannot open one.
func opensLazily(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	l := &lazyStream{open: func(msg any) (grpc.ClientStream, error) {
		if *textOf(msg) == "no" {
			return nil, status.Error(codes.FailedPrecondition, "no affinity key")
		}
		return open(ctx, desc, cc, method, opts...)
	}}
	l.cond.L = &l.mu
	return l, nil
}

// lazyWorlds are connections with that interceptor behind chains that use a stream in different ways.
func lazyWorlds(t *testing.T, b *hauberktest.Backend) map[string]*connection {
	t.Helper()
	inside := grpc.WithChainStreamInterceptor(opensLazily)
	asks := func(ask func(call *hauberk.Call)) hauberk.Interceptor {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ask(call)
			return next(ctx, call)
		})
	}
	worlds := map[string]*connection{
		"bare":       newConnection(bare(t, b, inside), nil),
		"FromClient": newConnection(bare(t, b, hauberk.Must(hauberk.New(passThrough(), fromStream(opensLazily), passThrough())).DialOptions()...), nil),
	}
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"empty": nil, "hooks": {passThrough()}, "retry": {retry(3)}, "guard": {recoverer{}, passThrough()},
		"metadata": {asks((*hauberk.Call).CaptureMetadata)}, "header": {asks((*hauberk.Call).CommitOnHeader)},
		"replays": {retrying(1000, 3, func(context.Context) error { return nil })},
	} {
		chain := hauberk.Must(hauberk.New(interceptors...))
		worlds[name+", DialOptions"] = newConnection(bare(t, b, append(chain.DialOptions(), inside)...), nil)
		worlds[name+", ClientConn"] = newConnection(bare(t, b, inside), chain)
	}
	return worlds
}

// exchangeLazily makes a call with a pause before its message, and returns what the application sees.
func exchangeLazily(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, text string, pause time.Duration) (result string) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			result = fmt.Sprintf("panic %v", v)
		}
	}()
	stream := start(patient(t), t, conn, kind)
	sleep(pause)
	if err := stream.SendMsg(message(text)); err != nil {
		return "send " + err.Error()
	}
	if err := stream.CloseSend(); err != nil {
		return "close " + err.Error()
	}
	var r testpb.Response
	err := stream.RecvMsg(&r)
	return fmt.Sprint("received ", r.GetText(), err)
}

// TestLazyStreams: a stream that opens with the first message behaves behind a chain as without.
func TestLazyStreams(t *testing.T) {
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		worlds := lazyWorlds(t, &hauberktest.Backend{})
		for _, text := range []string{"yes", "no"} {
			for _, pause := range []time.Duration{0, time.Second} {
				want := exchangeLazily(t, worlds["bare"], kind, text, pause)
				for name, conn := range worlds {
					if got := exchangeLazily(t, conn, kind, text, pause); got != want {
						t.Errorf("%s, %q after %v: %s; bare: %s", name, text, pause, got, want)
					}
				}
			}
		}
	})
}

// TestLazyStreamOfAClosedConn: such a stream cannot be opened.
func TestLazyStreamOfAClosedConn(t *testing.T) {
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		for name, conn := range lazyWorlds(t, &hauberktest.Backend{}) {
			_ = conn.cc.Close()
			if got := exchangeLazily(t, conn, kind, "yes", 0); got != "send rpc error: code = Canceled desc = grpc: the client connection is closing" {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
}

// TestLazyStreamThatNeverOpens: a call whose application sends nothing ends with its context.
func TestLazyStreamThatNeverOpens(t *testing.T) {
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		for name, conn := range lazyWorlds(t, &hauberktest.Backend{}) {
			if name == "bare" {
				continue
			}
			ctx, cancel := context.WithCancel(patient(t))
			var ended atomic.Bool
			stream := start(ctx, t, conn, kind, grpc.OnFinish(func(error) { ended.Store(true) }))
			cancel()
			synctest.Wait()
			if !ended.Load() {
				t.Errorf("%s: the chain has not ended", name)
				continue
			}
			wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Canceled)
			if md := stream.Trailer(); len(md) > 0 {
				t.Errorf("%s: trailer %v", name, md)
			}
		}
	})
}

// TestHeaderCommitsALazyStream: CommitOnHeader waits for the opening.
func TestHeaderCommitsALazyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		committed := make(chan bool, 1)
		asks := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.CommitOnHeader()
			err := next(ctx, call)
			committed <- call.Committed()
			return err
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if err := s.SendHeader(metadata.Pairs("k", "v")); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		conn := hauberk.Must(hauberk.New(asks)).ClientConn(bare(t, backend, grpc.WithChainStreamInterceptor(opensLazily)))
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		stream := start(ctx, t, conn, hauberk.Bidi)
		if err := stream.SendMsg(message("yes")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if !<-committed {
			t.Error("the header has not committed the call")
		}
	})
}
