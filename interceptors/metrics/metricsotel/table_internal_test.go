package metricsotel

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The caches of methods and targets are bounded, as well as the series.
func TestMemoryIsBounded(t *testing.T) {
	const limit, most = 2, 8 * 2
	m := New(Config{MaxSeries: limit}, WithMeterProvider(noop.NewMeterProvider()))
	invoke := hauberk.Must(hauberk.New(m)).UnaryClientInterceptor()
	answer := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	call := func(method string, conn *grpc.ClientConn) {
		err := invoke(t.Context(), method, new(testpb.Request), new(testpb.Response), conn, answer, grpc.StaticMethod())
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * most {
		call(fmt.Sprintf("/s/m%d", i), nil)
		conn, err := grpc.NewClient(fmt.Sprintf("passthrough:///host%d", i), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		call("/s/m0", conn)
		_ = conn.Close()
	}
	tb := &m.tables[hauberk.ClientSide]
	pointers, targets := tb.byMethod.Len(), len(*tb.other.byTarget.Load())
	names := tb.names.All()
	for _, n := range names {
		targets += len(*n.byTarget.Load())
	}
	if len(names) != limit || len(tb.series) != limit || pointers > most || targets != most {
		t.Errorf("%d names, %d series, %d methods and %d targets; want %d, %d, at most %d, and %d",
			len(names), len(tb.series), pointers, targets, limit, limit, most, most)
	}
}
