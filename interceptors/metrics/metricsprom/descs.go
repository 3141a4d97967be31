package metricsprom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// callDescs are the descriptors of the metrics of calls.
type callDescs struct {
	started, handled, sent, received, handling, inFlight                     *prometheus.Desc
	sentBytes, sentCompressed, receivedBytes, receivedCompressed, unmeasured *prometheus.Desc
}

// describeCalls returns the descriptors of one side. labels are the names of the labels that
// metrics.WithLabel added.
func describeCalls(side hauberk.Side, labels []string) callDescs {
	name := side.String()
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help+".", seriesLabels(labels, more...), nil)
	}
	grpc, own := "grpc_"+name+"_", "hauberk_"+name+"_"
	on, by := " on the "+name, " by the "+name
	return callDescs{
		started:  desc(grpc+"started_total", "Calls started"+on),
		handled:  desc(grpc+"handled_total", "Calls completed"+on+", by status code", "grpc_code"),
		sent:     desc(grpc+"msg_sent_total", "Messages sent"+by),
		received: desc(grpc+"msg_received_total", "Messages received"+by),
		handling: prometheus.NewDesc(handlingName(side), handlingHelp(side), seriesLabels(labels), nil),
		inFlight: desc(grpc+"in_flight", "Calls in flight"+on),

		sentBytes:          desc(own+"sent_bytes_total", "Message bytes sent"+by+", without compression"),
		sentCompressed:     desc(own+"sent_compressed_bytes_total", "Message bytes sent"+by+", as compressed"),
		receivedBytes:      desc(own+"received_bytes_total", "Message bytes received"+by+", without compression"),
		receivedCompressed: desc(own+"received_compressed_bytes_total", "Message bytes received"+by+", as compressed"),
		unmeasured:         desc(own+"unmeasured_calls_total", "Calls completed"+on+" without a byte count"),
	}
}

func handlingName(side hauberk.Side) string { return "grpc_" + side.String() + "_handling_seconds" }

func handlingHelp(side hauberk.Side) string {
	return "Latency of calls on the " + side.String() + ", from start to end, in seconds."
}

// seriesLabels returns the label names of a series.
func seriesLabels(labels []string, more ...string) []string {
	return slices.Concat([]string{"grpc_type", "grpc_service", "grpc_method"}, more, labels)
}

func (d *callDescs) describe(descs chan<- *prometheus.Desc, noHandlingTime bool) {
	for _, desc := range []*prometheus.Desc{
		d.started, d.handled, d.sent, d.received, d.inFlight,
		d.sentBytes, d.sentCompressed, d.receivedBytes, d.receivedCompressed, d.unmeasured,
	} {
		descs <- desc
	}
	if !noHandlingTime {
		descs <- d.handling
	}
}

// onSide is the label of metrics whose names do not contain the side. It is a constant label,
// so that the descriptors of a server's collector and a client's collector differ and both can
// be registered in one registry.
func onSide(side hauberk.Side) prometheus.Labels { return prometheus.Labels{"side": side.String()} }

// rejectionDescs are the descriptors of rejections by origin; nil if a side has none.
type rejectionDescs [metrics.Remote + 1]*prometheus.Desc

func describeRejections(side hauberk.Side) rejectionDescs {
	labels := []string{"interceptor", "reason"}
	descs := rejectionDescs{
		metrics.Enforced: prometheus.NewDesc("hauberk_rejections_total",
			"Calls rejected in this process.", labels, onSide(side)),
		metrics.Shadowed: prometheus.NewDesc("hauberk_shadow_rejections_total",
			"Rejections in this process that were not enforced.", labels, onSide(side)),
	}
	if side == hauberk.ClientSide {
		descs[metrics.Remote] = prometheus.NewDesc("hauberk_remote_rejections_total",
			"Calls on the client that the server rejected with a reason.", []string{"reason"}, nil)
	}
	return descs
}

func describeDecisions(side hauberk.Side) *prometheus.Desc {
	return prometheus.NewDesc("hauberk_decisions_total", "Decisions of interceptors on calls in this process.",
		[]string{"interceptor", "verdict", "mode"}, onSide(side))
}
