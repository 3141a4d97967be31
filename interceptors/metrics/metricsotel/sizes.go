package metricsotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/hauberk-rpc/hauberk"
)

// recordSizes records the sizes of a call on a server or of an attempt on a client when they are
// final. If they are not measured it records nothing.
func (i *attemptInstruments) recordSizes(ctx context.Context, call *hauberk.Call, outcome []metric.RecordOption) {
	if !i.sizes {
		return
	}
	wire := call.Wire()
	switch {
	case wire == nil:
	case call.Side() == hauberk.ClientSide:
		i.recordWire(ctx, wire, outcome)
	default:
		wire.WhenFinal(func() { i.recordWire(ctx, wire, outcome) })
	}
}

func (i *attemptInstruments) recordWire(ctx context.Context, wire *hauberk.Wire, outcome []metric.RecordOption) {
	i.sent.Record(ctx, wire.Sent().Compressed, outcome...)
	i.received.Record(ctx, wire.Received().Compressed, outcome...)
}
