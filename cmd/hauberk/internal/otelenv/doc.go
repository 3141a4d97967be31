// Package otelenv configures the OpenTelemetry SDK from the OTEL_… environment variables.
// It follows the specification's documents "OpenTelemetry Environment Variable
// Specification" and "OpenTelemetry Protocol Exporter", with two differences for a sidecar:
//
//   - Nothing is exported by default. Traces are exported if OTEL_TRACES_EXPORTER,
//     OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, and metrics
//     likewise. In the specification a program without any variable exports to localhost.
//   - An invalid value is an error at the start. In the specification it is ignored, with a
//     warning.
//
// The SDK reads the variables; this package checks them first.
package otelenv
