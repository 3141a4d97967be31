// Package metricsprom shows what a [metrics.Metrics] has counted to Prometheus,
// under the metric and label names of go-grpc-middleware's Prometheus provider, so
// that dashboards and alerts made for that go on working.
//
//	calls := metrics.New(metrics.Config{})
//	calls.Register(srv.GetServiceInfo())
//	prometheus.MustRegister(metricsprom.New(calls))
//
// # Metrics
//
// For both sides, "server" and "client" in place of SIDE, with the labels
// grpc_type (unary, client_stream, server_stream, bidi_stream), grpc_service and
// grpc_method:
//
//   - grpc_SIDE_started_total, a counter of calls.
//   - grpc_SIDE_handled_total, a counter of calls that have ended, with the further
//     label grpc_code: OK, Canceled, NotFound and so on.
//   - grpc_SIDE_msg_sent_total and grpc_SIDE_msg_received_total, counters of messages.
//   - grpc_SIDE_handling_seconds, a histogram of latencies.
//   - grpc_SIDE_in_flight, a gauge of calls that are running.
//
// And of refusals, which package metrics explains:
//
//   - hauberk_refusals_total, a counter of calls refused in this process, with the
//     labels side, interceptor and reason.
//   - hauberk_shadow_refusals_total, a counter of refusals that were not enforced,
//     with the same labels.
//   - hauberk_remote_refusals_total, a counter of calls of clients that the other end
//     refused with a reason, with the label reason.
//
// The methods registered with [metrics.Metrics.Register] have all series at zero
// from the start; others have theirs from their first call, and
// grpc_SIDE_handled_total for the codes that occurred. Counters and histograms have
// created timestamps.
//
// # Differences from go-grpc-middleware
//
// As of its Prometheus provider 1.1.1:
//
//   - The histogram is there unless [WithoutHandlingTime] leaves it out; there it is
//     an option. Its buckets are [metrics.Config.Buckets]; the default is the same.
//   - A call is handled once. There a client's stream is handled each time that a
//     receive fails, and never if it is of a method with one response and succeeds,
//     or if it is abandoned.
//   - Calls that no interceptor of grpc-go sees count too: those of unknown methods,
//     under the service and method "unknown", and unary ones whose request cannot be
//     decoded.
//   - Codes that gRPC does not define count as Unknown, so that a peer cannot make
//     series; there each is a series of its own.
//   - A client's unary call that is refused in its own process sends no message; there
//     it sends one. The received message of a unary call that fails on a server is as
//     package metrics says; there it always counts. A response that a server holds
//     and then replaces by an error was not sent; there it was.
//   - Messages that have not been sent or received count zero; there they have no
//     series.
//
// Constant labels and prefixes, options there, are Prometheus' own:
// prometheus.WrapRegistererWith and prometheus.WrapRegistererWithPrefix. With a
// label they also let two instances share a registry, say of calls and of attempts.
package metricsprom
