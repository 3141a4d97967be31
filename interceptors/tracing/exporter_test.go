package tracing_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// stuck is an exporter that blocks until it is released.
type stuck struct {
	entered, release chan struct{}
	spans            atomic.Int64
}

func (e *stuck) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.spans.Add(int64(len(spans)))
	select {
	case e.entered <- struct{}{}:
	default:
	}
	<-e.release
	return errors.New("the collector is down")
}

func (*stuck) Shutdown(context.Context) error { return nil }

// Calls end while an exporter blocks. The SDK's queue fills, and further spans are dropped (ATTACKS G04).
func TestExporterDown(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		before := otel.GetErrorHandler()
		t.Cleanup(func() { otel.SetErrorHandler(before) })
		var reported atomic.Int64
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { reported.Add(1) }))

		const queue, calls = 4, 40
		e := &stuck{entered: make(chan struct{}, 1), release: make(chan struct{})}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e,
			sdktrace.WithMaxQueueSize(queue), sdktrace.WithMaxExportBatchSize(1)))
		env := c.Start(t, tracing.New(tracing.Config{}, tracing.WithTracerProvider(provider)))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		<-e.entered // the exporter blocks during all further calls
		for range calls {
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
		}
		env.Server.GracefulStop()
		if got := e.spans.Load(); got != 1 {
			t.Errorf("%d spans were exported by a stuck exporter", got)
		}
		close(e.release)
		if err := provider.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		// One was being exported, the queue was full, and another may have been between
		// the two.
		if got := e.spans.Load(); got < 1+queue || got > 2+queue {
			t.Errorf("%d spans were kept of %d, want %d or one more", got, calls+1, 1+queue)
		}
		if reported.Load() == 0 {
			t.Error("the failure of the exporter was not reported")
		}
	})
}

// Calls end if the provider has been shut down.
func TestProviderShutDown(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		env := c.Start(t, tracing.New(tracing.Config{}, s.option()), inside(func(context.Context, *hauberk.Call) {
			if err := s.provider.Shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
	})
}
