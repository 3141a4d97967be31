package attacks_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// executions counts how often each call was executed, by its id in the request metadata.
type executions struct {
	mu    sync.Mutex
	times map[string]int
}

const callID = "call-id"

func newExecutions() *executions { return &executions{times: make(map[string]int)} }

func (e *executions) add(id string) (times int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times[id]++
	return e.times[id]
}

// of returns how often a call was executed.
func (e *executions) of(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.times[id]
}

func (e *executions) sum() (all int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.times {
		all += n
	}
	return all
}

// repeated is a server on 127.0.0.1 that counts executions, and a client whose chain repeats calls.
type repeated struct {
	*executions

	conn grpc.ClientConnInterface
}

// repeat starts a server. handle serves the attempt of a call that has been executed times times.
func repeat(
	t *testing.T, handle func(ctx context.Context, s hauberktest.Stream, times int) error, interceptors ...hauberk.Interceptor,
) *repeated {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &repeated{executions: newExecutions()}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		id := ""
		if values := metadata.ValueFromIncomingContext(ctx, callID); len(values) == 1 {
			id = values[0]
		}
		return handle(ctx, s, r.add(id))
	}})
	stop := hauberktest.Serve(t, srv, lis)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	r.conn = chain.ClientConn(conn)
	return r
}

// call calls the method of a kind with an id, sends messages, and receives until the call ends.
func (r *repeated) call(ctx context.Context, kind hauberk.Kind, id string, messages int) error {
	return callOn(ctx, r.conn, kind, id, messages)
}

func callOn(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind, id string, messages int) error {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, callID, id))
	defer cancel()
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, hauberktest.FullMethod(kind), &testpb.Request{Text: id}, new(testpb.Response))
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return err
	}
	if !kind.ClientStreams() {
		messages = 1
	}
	for range messages {
		if stream.SendMsg(&testpb.Request{Text: id}) != nil {
			break // RecvMsg has the error
		}
	}
	_ = stream.CloseSend()
	return receiveAll(stream, kind)
}
