package otelenv

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// The variables that enable signals and set their addresses.
const (
	disabled        = "OTEL_SDK_DISABLED"
	tracesExporter  = "OTEL_TRACES_EXPORTER"
	metricsExporter = "OTEL_METRICS_EXPORTER"
	endpoint        = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	metricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
	prometheusHost  = "OTEL_EXPORTER_PROMETHEUS_HOST"
	prometheusPort  = "OTEL_EXPORTER_PROMETHEUS_PORT"
)

// The names of the exporter that exports nothing and of the one that is scraped.
const (
	none       = "none"
	prometheus = "prometheus"
)

// prometheusAddress returns the address that the exporter prometheus listens on.
func prometheusAddress() string {
	return net.JoinHostPort(cmp.Or(get(prometheusHost), "localhost"), cmp.Or(get(prometheusPort), "9464"))
}

// signals are the signals to export.
type signals struct{ traces, metrics bool }

func (s signals) any() bool { return s.traces || s.metrics }

// enabled returns the signals that the environment enables.
func enabled() signals {
	if strings.EqualFold(get(disabled), "true") {
		return signals{}
	}
	return signals{
		traces:  isEnabled(tracesExporter, tracesEndpoint),
		metrics: isEnabled(metricsExporter, metricsEndpoint),
	}
}

func isEnabled(exporter, ownEndpoint string) bool {
	if name := get(exporter); name != "" {
		return name != none
	}
	return get(ownEndpoint) != "" || get(endpoint) != ""
}

// get returns the value of a variable, or "" if it is not set. Both mean the same.
func get(name string) string { return os.Getenv(name) }

// check returns an error for each invalid variable. It ignores the variables of signals
// that are off.
func (s signals) check() error {
	errs := []error{checkAll(switches())}
	if s.any() {
		errs = append(errs, checkAll(general()), checkOTLP(otlp))
	}
	if s.traces {
		const prefix = otlp + "TRACES_"
		errs = append(errs,
			checkAll(ofTraces()), checkSampler(), checkBatch(), checkOTLP(prefix), checkTransport(prefix))
	}
	if s.metrics {
		const prefix = otlp + "METRICS_"
		errs = append(errs, checkAll(ofMetrics()), checkOTLP(prefix), checkTransport(prefix))
	}
	return errors.Join(errs...)
}

// variable is a variable that can be checked independently of others.
type variable struct {
	name  string
	check func(value string) error
}

func checkAll(variables []variable) error {
	var errs []error
	for _, v := range variables {
		if value := get(v.name); value != "" {
			if err := v.check(value); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", v.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func switches() []variable {
	return []variable{
		{disabled, isBool},
		{tracesExporter, oneOf("otlp", "console", none)},
		{metricsExporter, oneOf("otlp", prometheus, "console", none)},
	}
}

func general() []variable {
	return []variable{
		{"OTEL_RESOURCE_ATTRIBUTES", isResource},
		{"OTEL_PROPAGATORS", listOf("tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", none)},
	}
}

// most is the largest accepted number. The SDK allocates memory for that many spans.
const most = 1_000_000

func ofTraces() []variable {
	return []variable{
		{"OTEL_BSP_SCHEDULE_DELAY", isMillis},
		{"OTEL_BSP_EXPORT_TIMEOUT", isMillis},
		{"OTEL_BSP_MAX_QUEUE_SIZE", within(1, most)},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", within(1, most)},
		{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", within(0, most)},
		{"OTEL_ATTRIBUTE_COUNT_LIMIT", within(0, most)},
		{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", within(0, most)},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", within(0, most)},
		{"OTEL_SPAN_EVENT_COUNT_LIMIT", within(0, most)},
		{"OTEL_SPAN_LINK_COUNT_LIMIT", within(0, most)},
		{"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", within(0, most)},
		{"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", within(0, most)},
	}
}

func ofMetrics() []variable {
	return []variable{
		{"OTEL_METRIC_EXPORT_INTERVAL", isMillis},
		{"OTEL_METRIC_EXPORT_TIMEOUT", isMillis},
		{"OTEL_METRICS_EXEMPLAR_FILTER", oneOf("always_on", "always_off", "trace_based")},
		{prometheusPort, within(1, 65535)}, // not 0: the port would be unknown
		{
			"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
			oneOf("cumulative", "delta", "lowmemory"),
		},
		{
			"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
			oneOf("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
		},
	}
}

// checkOTLP checks the variables of the OTLP exporter that begin with prefix.
func checkOTLP(prefix string) error {
	return errors.Join(checkAll([]variable{
		{prefix + "ENDPOINT", isEndpoint},
		{prefix + "PROTOCOL", oneOf("grpc", "http/protobuf")},
		{prefix + "HEADERS", isHeaders},
		{prefix + "TIMEOUT", isMillis},
		{prefix + "COMPRESSION", oneOf("gzip", none)},
		{prefix + "INSECURE", isBool},
		{prefix + "CERTIFICATE", isCertificate},
	}), checkKeyPair(prefix+"CLIENT_CERTIFICATE", prefix+"CLIENT_KEY"))
}

// checkTransport checks that a signal's variables agree on the transport. The HTTP exporter
// cannot use unix sockets. INSECURE overrides the URL's scheme, so that headers for an
// https endpoint would be sent in plain text.
func checkTransport(prefix string) error {
	to, insecure := either(prefix, "ENDPOINT"), either(prefix, "INSECURE")
	scheme, _, _ := strings.Cut(to, ":")
	switch {
	case scheme == "unix" && either(prefix, "PROTOCOL") != "grpc":
		return fmt.Errorf("%sENDPOINT is %q; want OTEL_EXPORTER_OTLP_PROTOCOL=grpc with it", otlp, to)
	case scheme == "https" && strings.EqualFold(insecure, "true"),
		scheme == "http" && strings.EqualFold(insecure, "false"):
		return fmt.Errorf("%sINSECURE is %s, and %sENDPOINT begins with %s; want one of them",
			otlp, insecure, otlp, scheme)
	default:
		return nil
	}
}

// otlp is the prefix of the OTLP exporters' variables.
const otlp = "OTEL_EXPORTER_OTLP_"

// either returns the value of a signal's variable, or else that of the variable for all
// signals.
func either(prefix, name string) string { return cmp.Or(get(prefix+name), get(otlp+name)) }

const (
	sampler    = "OTEL_TRACES_SAMPLER"
	samplerArg = sampler + "_ARG"
)

// checkSampler checks the sampler, and its argument if it has one.
func checkSampler() error {
	list := []variable{{sampler, oneOf("always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")}}
	if strings.HasSuffix(get(sampler), "traceidratio") {
		list = append(list, variable{samplerArg, isRatio})
	}
	return checkAll(list)
}

// checkBatch checks that a batch fits in the queue. The SDK would reduce the batch.
func checkBatch() error {
	const queue, batch = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
	size, room := number(batch, 0), number(queue, 2048)
	if size > room {
		return fmt.Errorf("%s is %d; want at most %s, which is %d", batch, size, queue, room)
	}
	return nil
}
