package metricsprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// sideDescs describes the metrics of one side.
type sideDescs struct {
	started, handled, sent, received, handling, inFlight *prometheus.Desc
}

func describeSide(side hauberk.Side) sideDescs {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		labels := append([]string{"grpc_type", "grpc_service", "grpc_method"}, more...)
		return prometheus.NewDesc("grpc_"+side.String()+"_"+name, help, labels, nil)
	}
	at := " on the " + side.String() + "."
	return sideDescs{
		started:  desc("started_total", "Calls started"+at),
		handled:  desc("handled_total", "Calls ended"+at, "grpc_code"),
		sent:     desc("msg_sent_total", "Messages sent"+at),
		received: desc("msg_received_total", "Messages received"+at),
		handling: desc("handling_seconds", "Time from the start to the end of calls"+at),
		inFlight: desc("in_flight", "Calls running"+at),
	}
}

func (d *sideDescs) describe(descs chan<- *prometheus.Desc, noHandlingTimes bool) {
	for _, desc := range []*prometheus.Desc{d.started, d.handled, d.sent, d.received, d.inFlight} {
		descs <- desc
	}
	if !noHandlingTimes {
		descs <- d.handling
	}
}

func describeRefusals() [metrics.Remote + 1]*prometheus.Desc {
	labels := []string{"side", "interceptor", "reason"}
	return [...]*prometheus.Desc{
		metrics.Enforced: prometheus.NewDesc("hauberk_refusals_total",
			"Calls refused in this process.", labels, nil),
		metrics.Shadowed: prometheus.NewDesc("hauberk_shadow_refusals_total",
			"Decisions to refuse a call that were not enforced.", labels, nil),
		metrics.Remote: prometheus.NewDesc("hauberk_remote_refusals_total",
			"Calls of clients that the other end refused with a reason.", []string{"reason"}, nil),
	}
}
