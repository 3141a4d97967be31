package audit_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// No attempt of a hedged call leaves before the record at its start is written, and none if it is not.
func TestHedgedAttemptsWaitForTheRecord(t *testing.T) {
	for name, failure := range map[string]error{"written": nil, "not written": io.ErrShortWrite} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var stored atomic.Bool
					var starts, attempts atomic.Int32
					x := audit.New(audit.Config{Start: audit.StartAll}, audit.SinkFunc(func(_ context.Context, r audit.Record) error {
						if r.Stage == audit.StageStart {
							starts.Add(1)
							<-time.After(time.Second) // for many attempts
							stored.Store(failure == nil)
							return failure
						}
						return nil
					}))
					inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						attempts.Add(1)
						if !stored.Load() {
							t.Error("an attempt leaves without the record")
						}
						return next(ctx, call)
					})
					hedged := hedge.New(hedge.Config{
						AllMethods: true, MaxAttempts: 5, Delay: 10 * time.Millisecond, NoBudget: true,
					})
					chain := hauberk.Must(hauberk.New(x, hedged, x.Admitted(), inner))
					err := hauberktest.Direct{Kind: kind}.Client(chain)(t.Context())
					if !errors.Is(err, failure) && hauberk.Reason(err) != audit.ReasonFailed || (err == nil) != (failure == nil) {
						t.Errorf("%v; want an error: %t", err, failure != nil)
					}
					if starts.Load() != 1 || (attempts.Load() > 0) != (failure == nil) {
						t.Errorf("%d records, %d attempts", starts.Load(), attempts.Load())
					}
				})
			})
		}
	}
}
