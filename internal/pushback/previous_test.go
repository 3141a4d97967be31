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
	outer := pushback.WithPrevious(ctx, "outer", 1)
	inner := pushback.WithPrevious(outer, "inner", 2)
	for want, ctx := range map[string]context.Context{
		"1": outer, "3": inner, "2": pushback.WithPrevious(outer, "outer", 2),
		"4": pushback.WithPrevious(inner, "inner", 3),
	} {
		md, _ := metadata.FromOutgoingContext(ctx)
		if got := md.Get(pushback.PreviousKey); !slices.Equal(got, []string{want}) || !slices.Equal(md.Get("a"), []string{"1"}) {
			t.Errorf("metadata %v, want %s", md, want)
		}
	}
	if md, _ := metadata.FromOutgoingContext(pushback.WithPrevious(t.Context(), "outer", 1)); !slices.Equal(md.Get(pushback.PreviousKey), []string{"1"}) {
		t.Errorf("without metadata: %v", md)
	}
}
