package hauberktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

// maxUnmapped bounds the errors that Unmapped lists.
const maxUnmapped = 50

// Unmapped returns a function for the option WithUnmapped of package interceptors/errs. At its end, the test fails for
// the errors without a status that handlers have returned, each once with its method and type, up to 50 of them. Errors
// after the end of the test are ignored. The function is safe for concurrent use.
//
//	errs.New(errs.Config{}, Errors, errs.WithUnmapped(hauberktest.Unmapped(t)))
func Unmapped(t testing.TB) func(ctx context.Context, call *hauberk.Call, err error) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(seen)
		for _, one := range seen {
			t.Errorf("hauberktest: a handler returned an error without a status: %s", one)
		}
	})
	return func(_ context.Context, call *hauberk.Call, err error) {
		text := fmt.Sprintf("%s: %T: %v", strings.TrimPrefix(call.Method().FullName(), "/"), err, err)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < maxUnmapped && !slices.Contains(seen, text) {
			seen = append(seen, text)
		}
	}
}
