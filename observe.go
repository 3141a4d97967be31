package hauberk

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrUnwound is the outcome that [Observe] reports for a call whose goroutine is
// unwound by a panic or by runtime.Goexit. Its status is INTERNAL.
var ErrUnwound = status.Error(codes.Internal, "hauberk: the call was unwound by a panic or by runtime.Goexit")

// Observe calls next and returns its outcome. Before that it passes the outcome to end,
// exactly once: also while a panic or runtime.Goexit unwinds the goroutine, then with
// [ErrUnwound]. It does not stop the unwinding. For interceptors that count, log or
// measure calls:
//
//	return hauberk.Observe(ctx, call, next, func(err error) { count(hauberk.CodeOf(err)) })
//
// Observe allocates nothing. recover in end returns nil.
func Observe(ctx context.Context, call *Call, next Next, end func(err error)) error {
	err := ErrUnwound
	// Not deferred itself, end cannot recover the panic.
	defer func() { end(err) }()
	err = next(ctx, call)
	return err
}
