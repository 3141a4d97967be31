package metrics

import (
	"context"
	"fmt"
	"testing"
	"unsafe"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// The cache keeps a bounded number of *hauberk.Method for each method.
func TestCacheIsBounded(t *testing.T) {
	m := New(Config{MaxMethods: 10})
	redirect := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := call.SetMethod(call.Method().FullName() + "2"); err != nil {
			return err
		}
		return next(ctx, call)
	})
	conn := hauberk.Must(hauberk.New(redirect, m)).ClientConn(hauberktest.Conn{})
	for i := range 2000 {
		if err := conn.Invoke(t.Context(), fmt.Sprintf("/s/m%d", i%20), t, t); err != nil {
			t.Fatal(err)
		}
	}
	kept := m.sides[hauberk.ClientSide].methods.byMethod.Len()
	if most := maxPointers * 11; kept > most || kept == 0 { // of ten methods, and Other
		t.Errorf("the cache has %d methods, want at most %d", kept, most)
	}
}

// The size of a method does not exceed the documented size.
func TestSizes(t *testing.T) {
	of := New(Config{}).sides[0].methods.newMethod(label{})
	if got := int(sizeOfMethod) + 8*len(of.buckets); got > 7300 {
		t.Errorf("a method takes %d bytes", got)
	}
	if got := int(sizeOfLatency); got > 6544 {
		t.Errorf("the quantiles of a method take %d bytes", got)
	}
}

const (
	sizeOfMethod  = unsafe.Sizeof(method{})
	sizeOfLatency = unsafe.Sizeof(method{}.latency)
)
