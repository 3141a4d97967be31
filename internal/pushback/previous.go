package pushback

import (
	"context"
	"strconv"

	"google.golang.org/grpc/metadata"
)

// PreviousKey is the key of gRFC A6 in the request metadata: how many attempts of the call were made before.
const PreviousKey = "grpc-previous-rpc-attempts"

// previousKey is the key in the context of an attempt of how many attempts were made before.
type previousKey struct{}

// WithPrevious returns the context of an attempt after n others that an interceptor, by, has made of a call. ctx is
// that of any of them. The number in the request metadata is n, and that of WithPrevious in the context of the first
// attempt, if an outer interceptor repeats the call as well.
//
// A value that the application has set is replaced: the number is that of attempts of this client (gRFC A6). An
// application that forwards metadata would otherwise report the attempts of its own caller.
func WithPrevious(ctx context.Context, by any, n int) context.Context {
	if a, ok := ctx.(*attempt); ok && a.by == by {
		ctx = a.first
	}
	if outer, ok := ctx.Value(previousKey{}).(int); ok {
		n += outer
	}
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	if md == nil {
		md = make(metadata.MD, 1)
	}
	md.Set(PreviousKey, strconv.Itoa(n))
	return &attempt{metadata.NewOutgoingContext(ctx, md), ctx, by, n}
}

// attempt is the context of an attempt.
type attempt struct {
	context.Context //nolint:containedctx // it is one

	first    context.Context //nolint:containedctx // that of the first attempt, which further ones start from
	by       any
	previous int
}

// Value returns the number of attempts before for previousKey.
func (a *attempt) Value(key any) any {
	if key == (previousKey{}) {
		return a.previous
	}
	return a.Context.Value(key)
}
