package hauberk

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrUnwound is the outcome that [Observe] reports if a panic or runtime.Goexit unwinds
// the goroutine of a call. Its status is INTERNAL.
var ErrUnwound = status.Error(codes.Internal, "hauberk: the call was unwound by a panic or by runtime.Goexit")

// Observe calls next and returns its outcome. Observe calls end exactly once, before it
// returns, with that outcome. If a panic or runtime.Goexit unwinds the goroutine, end
// receives [ErrUnwound], and the unwinding continues. Observe is for interceptors that
// count, log or measure calls:
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
