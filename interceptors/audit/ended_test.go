package audit_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// TestEndedCalls: the client of a call that Call.End ends has the status while the handler still runs. By then the call
// has its record at the start, and when the handler has returned that at the end, with the status that the client has.
func TestEndedCalls(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			entered, release := make(chan struct{}), make(chan struct{})
			expired := status.Error(codes.Unauthenticated, "expired")
			expire := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				go func() {
					<-entered
					call.End(expired)
				}()
				_ = next(ctx, call)
				return expired
			})
			backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				close(entered)
				<-release // it ignores its context
				return s.Send(&testpb.Response{})
			}}
			records := make(chan audit.Record, 2)
			sink := audit.SinkFunc(func(_ context.Context, r audit.Record) error {
				records <- r
				return nil
			})
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, backend,
				audit.New(audit.Config{Start: audit.StartAll}, sink), expire)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := env.Call(ctx, "a").Err; status.Code(err) != codes.Unauthenticated {
				t.Errorf("the client has %v; want %v", err, expired)
			}
			if len(records) != 1 {
				t.Errorf("%d records while the handler runs; want that at the start", len(records))
			}
			close(release)
			all := []audit.Record{<-records, <-records}
			checkStages(t, all, audit.StageStart, audit.StageEnd)
			if got := all[1].Code; got != codes.Unauthenticated {
				t.Errorf("the record has %v; want that of the client", got)
			}
		})
	}
}
