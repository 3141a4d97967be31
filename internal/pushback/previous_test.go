package pushback_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// TestWithPrevious: the number replaces that of the application, and counts those of outer interceptors. Other
// metadata stays.
func TestWithPrevious(t *testing.T) {
	ctx := metadata.AppendToOutgoingContext(t.Context(), pushback.PreviousKey, "7", pushback.PreviousKey, "8", "a", "1")
	outer := pushback.WithPrevious(ctx, 1)
	inner := pushback.WithPrevious(outer, 2)
	for want, ctx := range map[string]context.Context{"1": outer, "3": inner, "4": pushback.WithPrevious(inner, 1), "2": pushback.WithPrevious(ctx, 2)} {
		md, _ := metadata.FromOutgoingContext(ctx)
		if got := md.Get(pushback.PreviousKey); !slices.Equal(got, []string{want}) || !slices.Equal(md.Get("a"), []string{"1"}) {
			t.Errorf("metadata %v, want %s", md, want)
		}
	}
	if md, _ := metadata.FromOutgoingContext(pushback.WithPrevious(t.Context(), 1)); !slices.Equal(md.Get(pushback.PreviousKey), []string{"1"}) {
		t.Errorf("without metadata: %v", md)
	}
}
