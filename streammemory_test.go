package hauberk_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold rule h of client streams: what is kept for replays is
// bounded, and freed.

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestReplayBufferIsBounded: messages count in a replay buffer with an overhead, so
// that those that encode to nothing do not grow it without bound.
func TestReplayBufferIsBounded(t *testing.T) {
	for _, kind := range uploadKinds {
		t.Run(kind.String(), func(t *testing.T) {
			const n = 100_000
			fail := make(chan struct{})
			conn := &scripts{open: func(context.Context, int) (*script, error) {
				return &script{receive: func(context.Context, any) error {
					<-fail
					return status.Error(codes.Unavailable, "restarting")
				}}, nil
			}}
			interceptor := retrying(1024, 3, func(context.Context) error { return nil })
			ctx, cancel := context.WithCancel(patient(t))
			defer cancel()
			stream := start(ctx, t, hauberk.Must(hauberk.New(interceptor)).ClientConn(conn), kind)
			before, beat := heap(), new(emptypb.Empty)
			for range n {
				if err := stream.SendMsg(beat); err != nil {
					t.Fatal(err)
				}
			}
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("after %d empty messages the stream holds %d KiB, with a limit of 1 KiB", n, grown>>10)
			}
			close(fail)
			wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Unavailable)
			if got := conn.attempts.Load(); got != 1 {
				t.Errorf("%d attempts; want 1, since the messages cannot have been kept", got)
			}
			runtime.KeepAlive(stream)
		})
	}
}

// TestReplayBufferIsFreed: what is kept for a replay is freed as soon as no attempt can
// follow: once the application has a message, a header or the context, once a message
// is too large to be kept, and at the end of the call.
func TestReplayBufferIsFreed(t *testing.T) {
	const n, size = 16, 1 << 20
	receive := func(stream grpc.ClientStream) error { return stream.RecvMsg(new(testpb.Response)) }
	for name, commit := range map[string]func(stream grpc.ClientStream, cancel context.CancelFunc) error{
		"message": func(stream grpc.ClientStream, _ context.CancelFunc) error { return receive(stream) },
		"header": func(stream grpc.ClientStream, _ context.CancelFunc) error {
			_, err := stream.Header()
			return err
		},
		"context": func(stream grpc.ClientStream, _ context.CancelFunc) error {
			stream.Context()
			return nil
		},
		"too large": func(stream grpc.ClientStream, _ context.CancelFunc) error {
			return stream.SendMsg(&testpb.Request{Payload: make([]byte, 3*n*size)})
		},
		"cancelled": func(stream grpc.ClientStream, cancel context.CancelFunc) error {
			cancel()
			for receive(stream) == nil {
				continue
			}
			return nil
		},
	} {
		for _, kind := range uploadKinds {
			if kind == hauberk.ClientStream && name == "message" {
				continue // the message is the end
			}
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				s := oneMessage()
				s.header = func(context.Context) (metadata.MD, error) { return metadata.Pairs("k", "v"), nil }
				interceptor := retrying(2*n*size, 3, func(context.Context) error { return nil })
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				stream := start(ctx, t, hauberk.Must(hauberk.New(interceptor)).ClientConn(&scripts{open: alike(s)}), kind)
				for range n {
					if err := stream.SendMsg(&testpb.Request{Payload: make([]byte, size)}); err != nil {
						t.Fatal(err)
					}
				}
				kept := heap()
				if err := commit(stream, cancel); err != nil {
					t.Fatal(err)
				}
				if freed := kept - heap(); freed < n*size*3/4 {
					t.Errorf("%d KiB were freed, of %d that were kept for a replay", freed>>10, n*size>>10)
				}
				cancel()
				for receive(stream) == nil { // the next case measures, too
					continue
				}
			})
		}
	}
}

// TestReplayLimitOfMessages: a new attempt is made of messages that are well within the limit of
// a replay buffer, and none of messages whose encoding, or number, exceeds it.
func TestReplayLimitOfMessages(t *testing.T) {
	for _, c := range []struct {
		messages, size int
		want           codes.Code
	}{{4, 1000, codes.Aborted}, {1, 10_001, codes.Unavailable}, {20, 1000, codes.Unavailable}, {11_000, 0, codes.Unavailable}} {
		for _, kind := range uploadKinds {
			t.Run(strconv.Itoa(c.messages)+" of "+strconv.Itoa(c.size)+"/"+kind.String(), func(t *testing.T) {
				fail := make(chan struct{})
				conn := &scripts{open: func(_ context.Context, attempt int) (*script, error) {
					return &script{receive: func(context.Context, any) error {
						<-fail
						if attempt == 1 {
							return status.Error(codes.Unavailable, "restarting")
						}
						return status.Error(codes.Aborted, "a new attempt")
					}}, nil
				}}
				interceptor := retrying(10_000, 2, func(context.Context) error { return nil })
				stream := start(patient(t), t, hauberk.Must(hauberk.New(interceptor)).ClientConn(conn), kind)
				for range c.messages {
					if err := stream.SendMsg(&testpb.Request{Payload: make([]byte, c.size)}); err != nil {
						t.Fatal(err)
					}
				}
				close(fail)
				wantCode(t, stream.RecvMsg(new(testpb.Response)), c.want)
			})
		}
	}
}

// TestRequestIsFreed: the single request of a stream is freed once the call is committed, in which order
// the application sends it and commits.
func TestRequestIsFreed(t *testing.T) {
	const n, size = 16, 1 << 20
	send := func(stream grpc.ClientStream) error {
		return stream.SendMsg(&testpb.Request{Payload: make([]byte, size)})
	}
	for name, use := range map[string]func(stream grpc.ClientStream) error{
		"message": func(stream grpc.ClientStream) error {
			return errors.Join(send(stream), stream.RecvMsg(new(testpb.Response)))
		},
		"context": func(stream grpc.ClientStream) error {
			stream.Context()
			return send(stream)
		},
	} {
		for chain, interceptors := range map[string][]hauberk.Interceptor{
			"empty": nil, "hooks": {passThrough()}, "retry": {retry(3)}, "hooks around a retry": {passThrough(), retry(3), passThrough()},
			"hedging": {hedge(nil)}, "adapter": {passThrough(), adapted(), passThrough()},
		} {
			if chain == "hedging" && name == "context" {
				continue // the context of concurrent attempts commits none
			}
			t.Run(chain+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				conn := hauberk.Must(hauberk.New(interceptors...)).ClientConn(&scripts{open: func(context.Context, int) (*script, error) {
					received := false
					return &script{
						header: func(context.Context) (metadata.MD, error) { return metadata.Pairs("k", "v"), nil },
						receive: func(ctx context.Context, _ any) error {
							if received {
								return untilDone(ctx)
							}
							received = true
							return nil
						},
					}, nil
				}})
				before := heap()
				var all []grpc.ClientStream
				for range n {
					stream := start(ctx, t, conn, hauberk.ServerStream)
					if err := use(stream); err != nil {
						t.Fatal(err)
					}
					all = append(all, stream)
				}
				if kept := heap() - before; kept > n*size/4 {
					t.Errorf("%d KiB are kept of %d requests of %d KiB", kept>>10, n, size>>10)
				}
				runtime.KeepAlive(all)
			})
		}
	}
}
