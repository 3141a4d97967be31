// Package otelenv makes the OpenTelemetry SDK do what the OTEL_… environment
// variables say, as the specification's "OpenTelemetry Environment Variable
// Specification" and "OpenTelemetry Protocol Exporter" have them, with two
// differences that suit a sidecar:
//
//   - Nothing is exported unless that is asked for. Traces are, if
//     OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT or
//     OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set; metrics likewise. By the
//     specification a program without any variable sends to localhost.
//   - A value that cannot be used is an error at the start. By the specification it is
//     passed over with a warning.
//
// The variables are read by the SDK itself; this package looks at them first.
package otelenv
