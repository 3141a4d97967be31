package metricsotel_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// reject is an interceptor that rejects every call.
var reject = hauberk.Func(func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error {
	return errors.Join(readSingle(ctx, call), hauberk.Reject(codes.PermissionDenied, "NOT_YOU", "no"))
})

// answer is an interceptor that answers every call.
var answer = hauberk.Func(func(ctx context.Context, call *hauberk.Call, _ hauberk.Next) error {
	return errors.Join(readSingle(ctx, call), call.Reply(&testpb.Response{Text: "known"}))
})

// readSingle reads a single request, which waits until the client has sent it.
func readSingle(ctx context.Context, call *hauberk.Call) error {
	if call.Kind().ClientStreams() {
		return nil
	}
	_, err := call.Read(ctx)
	return err
}

// retries makes up to three attempts per call.
var retries = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.Replayable(1 << 20)
	err := next(ctx, call)
	for range 2 {
		if hauberk.CodeOf(err) == codes.Unavailable {
			err = next(ctx, call)
		}
	}
	return err
})

// flaky returns a backend that reads all requests and fails two of three calls.
func flaky() *hauberktest.Backend {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if calls.Add(1)%3 != 0 {
			return errors.Join(readAll(s), status.Error(codes.Unavailable, "not yet"))
		}
		return hauberktest.Echo(ctx, s)
	}}
}

func readAll(s hauberktest.Stream) error {
	for {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// hedge makes two concurrent attempts.
var hedge = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	first, second := call.Attempt(), call.Attempt()
	done := make(chan error, 1)
	go func() { done <- next(ctx, second) }()
	err := errors.Join(next(ctx, first), <-done)
	call.Adopt(first)
	return err
})

// together returns a backend that answers when two calls have arrived.
func together() *hauberktest.Backend {
	var calls sync.WaitGroup
	calls.Add(2)
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		calls.Done()
		calls.Wait()
		return hauberktest.Echo(ctx, s)
	}}
}

// failing returns a constructor of backends that fail each call.
func failing(code codes.Code) func() *hauberktest.Backend {
	return func() *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return errors.Join(readAll(s), status.Error(code, "no"))
		}}
	}
}
