package report_test

import (
	"context"
	"runtime"
	"testing"
	"weak"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
)

type largeError struct{ _ [1 << 16]byte }

func (*largeError) Error() string { return "large" }

// The interceptor keeps nothing of an incident that it has reported.
func TestNothingIsKept(t *testing.T) {
	x := report.New(report.Config{}, func(context.Context, report.Incident) {})
	reported := func() weak.Pointer[largeError] {
		err := new(largeError)
		_ = run(t, hauberk.ServerSide, hauberk.Unary, x, failing(func() error { return err }))
		return weak.Make(err)
	}
	for range 2 {
		p := reported()
		runtime.GC()
		if p.Value() != nil {
			t.Error("the error of the incident is kept")
		}
	}
	runtime.KeepAlive(x)
}
