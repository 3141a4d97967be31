package report_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
)

// BenchmarkReport is a unary call that succeeds, one whose failure is counted only, and one without
// interceptors.
func BenchmarkReport(b *testing.B) {
	x := report.New(report.Config{}, new(journal).add)
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"bare": nil, "success": {x}, "suppressed": {x, failing(func() error { return errSecret })},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(interceptors...)))
			for b.Loop() {
				_ = call(b.Context())
			}
		})
	}
}
