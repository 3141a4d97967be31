package expiry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/expiry"
)

// The context ends with the first of its ends, and so do the contexts that are made of it. None leaves a
// goroutine, which synctest checks.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(expire, cancel, cancelParent func())
		want error
	}{
		"expired":          {func(expire, _, _ func()) { expire() }, context.DeadlineExceeded},
		"cancelled":        {func(_, cancel, _ func()) { cancel() }, context.Canceled},
		"parent cancelled": {func(_, _, cancelParent func()) { cancelParent() }, context.Canceled},
		"parent's deadline": {
			func(_, _, _ func()) { <-time.After(time.Hour) },
			context.DeadlineExceeded,
		},
		"expired twice": {func(expire, _, _ func()) { expire(); expire() }, context.DeadlineExceeded},
		"expired, then cancelled": {func(expire, cancel, cancelParent func()) {
			expire()
			cancel()
			cancelParent()
		}, context.DeadlineExceeded},
		"cancelled, then expired": {func(expire, cancel, _ func()) { cancel(); expire() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, cancelParent := context.WithTimeout(t.Context(), time.Hour)
				defer cancelParent()
				ctx, expire, cancel := expiry.With(parent)
				defer cancel()
				child, cancelChild := context.WithCancel(ctx)
				defer cancelChild()
				if ctx.Err() != nil || child.Err() != nil {
					t.Fatalf("a new context has ended with %v", ctx.Err())
				}
				wantDeadline, _ := parent.Deadline()
				if got, ok := ctx.Deadline(); !ok || !got.Equal(wantDeadline) {
					t.Errorf("the deadline is %v, %t; want that of the parent, %v", got, ok, wantDeadline)
				}
				c.end(expire, cancel, cancelParent)
				<-child.Done()
				for _, ended := range []context.Context{ctx, child} {
					if !errors.Is(ended.Err(), c.want) || !errors.Is(context.Cause(ended), c.want) {
						t.Errorf("it ended with %v, cause %v; want %v", ended.Err(), context.Cause(ended), c.want)
					}
				}
			})
		})
	}
}
