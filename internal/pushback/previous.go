package pushback

import (
	"context"
	"strconv"

	"google.golang.org/grpc/metadata"
)

// PreviousKey is the key of gRFC A6 in the request metadata: how many attempts of the call were made before.
const PreviousKey = "grpc-previous-rpc-attempts"

// previousKey is the key in a context of the number that WithPrevious has set.
type previousKey struct{}

// WithPrevious returns the context of an attempt after n others. ctx is that of the first attempt. The number in the
// request metadata is n and that of WithPrevious in ctx, if an outer interceptor repeats the call as well.
//
// A value that the application has set is replaced: the number is that of attempts of this client (gRFC A6). An
// application that forwards metadata would else report the attempts of its own caller.
func WithPrevious(ctx context.Context, n int) context.Context {
	if outer, ok := ctx.Value(previousKey{}).(int); ok {
		n += outer
	}
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	if md == nil {
		md = make(metadata.MD, 1)
	}
	md.Set(PreviousKey, strconv.Itoa(n))
	return context.WithValue(metadata.NewOutgoingContext(ctx, md), previousKey{}, n)
}
