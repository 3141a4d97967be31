package metricsotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/hauberk-rpc/hauberk"
)

// recordSizes records what a call on a server, or an attempt on a client, has
// moved, once that is final. Where it is not measured it records nothing, and no
// zero.
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
