package metricsprom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// sideDescs describes the metrics of one side.
type sideDescs struct {
	started, handled, sent, received, handling, inFlight                     *prometheus.Desc
	sentBytes, sentCompressed, receivedBytes, receivedCompressed, unmeasured *prometheus.Desc
}

// describeSide describes the metrics of one side. labels are those of
// metrics.WithLabel.
func describeSide(side hauberk.Side, labels []string) sideDescs {
	at := " on the " + side.String()
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help+".", seriesLabels(labels, more...), nil)
	}
	grpc, own := "grpc_"+side.String()+"_", "hauberk_"+side.String()+"_"
	before, after := at+", before compression", at+", as they went over the wire"
	without := at + " without a measurement of their bytes"
	return sideDescs{
		started:  desc(grpc+"started_total", "Calls started"+at),
		handled:  desc(grpc+"handled_total", "Calls ended"+at, "grpc_code"),
		sent:     desc(grpc+"msg_sent_total", "Messages sent"+at),
		received: desc(grpc+"msg_received_total", "Messages received"+at),
		handling: desc(grpc+"handling_seconds", handlingHelp+at),
		inFlight: desc(grpc+"in_flight", "Calls running"+at),

		sentBytes:          desc(own+"sent_bytes_total", "Bytes of messages sent"+before),
		sentCompressed:     desc(own+"sent_compressed_bytes_total", "Bytes of messages sent"+after),
		receivedBytes:      desc(own+"received_bytes_total", "Bytes of messages received"+before),
		receivedCompressed: desc(own+"received_compressed_bytes_total", "Bytes of messages received"+after),
		unmeasured:         desc(own+"unmeasured_calls_total", "Calls that ended"+without),
	}
}

const handlingHelp = "Time from the start to the end of calls"

// seriesLabels returns the names of the labels of a series.
func seriesLabels(labels []string, more ...string) []string {
	return slices.Concat([]string{"grpc_type", "grpc_service", "grpc_method"}, more, labels)
}

func (d *sideDescs) describe(descs chan<- *prometheus.Desc, noHandlingTimes bool) {
	for _, desc := range []*prometheus.Desc{
		d.started, d.handled, d.sent, d.received, d.inFlight,
		d.sentBytes, d.sentCompressed, d.receivedBytes, d.receivedCompressed, d.unmeasured,
	} {
		descs <- desc
	}
	if !noHandlingTimes {
		descs <- d.handling
	}
}

func describeRejections() [metrics.Remote + 1]*prometheus.Desc {
	labels := []string{"side", "interceptor", "reason"}
	return [...]*prometheus.Desc{
		metrics.Enforced: prometheus.NewDesc("hauberk_rejections_total",
			"Calls rejected in this process.", labels, nil),
		metrics.Shadowed: prometheus.NewDesc("hauberk_shadow_rejections_total",
			"Decisions to reject a call that were not enforced.", labels, nil),
		metrics.Remote: prometheus.NewDesc("hauberk_remote_rejections_total",
			"Calls of clients that the other end rejected with a reason.", []string{"reason"}, nil),
	}
}

func describeDecisions() *prometheus.Desc {
	return prometheus.NewDesc("hauberk_decisions_total", "Verdicts on calls in this process.",
		[]string{"side", "interceptor", "verdict", "mode"}, nil)
}
