// Package metricsprom exports the numbers of a [metrics.Interceptor] to Prometheus.
//
// Its metrics have the names and labels of go-grpc-middleware's Prometheus provider.
// Dashboards and alerts for that provider continue to work.
//
//	calls := metrics.New(metrics.Config{})
//	prometheus.MustRegister(metricsprom.NewServerCollector(calls))
//	…
//	calls.Register(srv.GetServiceInfo())
//
// A collector exports one side. A program that uses one interceptor in the chains of its
// servers and of its clients registers two collectors for it:
//
//	prometheus.MustRegister(
//		metricsprom.NewServerCollector(calls),
//		metricsprom.NewClientCollector(calls),
//	)
//
// The collectors of a server and of a client can share a registry, also if they belong to
// different interceptors, and also if go-grpc-middleware's collector serves one of the sides.
// Two collectors of one side cannot share a registry unless a constant label distinguishes
// them, such as one for calls and one for attempts: see prometheus.WrapRegistererWith.
//
// [NewChainCollector] exports what the interceptors of a chain measure about themselves, such as
// the calls that a limit lets wait.
//
// # Metrics
//
// SIDE is "server" or "client". These metrics have the labels grpc_type (unary,
// client_stream, server_stream, bidi_stream), grpc_service and grpc_method:
//
//   - grpc_SIDE_started_total, a counter of calls.
//   - grpc_SIDE_handled_total, a counter of calls that have ended, with the additional
//     label grpc_code: OK, Canceled, NotFound and so on.
//   - grpc_SIDE_msg_sent_total and grpc_SIDE_msg_received_total, counters of messages.
//   - grpc_SIDE_handling_seconds, a histogram of latencies.
//   - grpc_SIDE_in_flight, a gauge of calls in flight.
//
// These metrics count rejections. Package metrics defines what a rejection is.
//
//   - hauberk_rejections_total, a counter of calls rejected in this process, with the
//     labels side, interceptor and reason.
//   - hauberk_shadow_rejections_total, a counter of rejections that were not enforced,
//     with the same labels.
//   - hauberk_remote_rejections_total, a counter of a client's calls that the server
//     rejected with a reason, with the label reason.
//
// These are optional:
//
//   - [metrics.Config.Decisions] enables hauberk_decisions_total, a counter of decisions,
//     with the labels side, interceptor, verdict (allowed, rejected) and mode (enforced,
//     shadow).
//   - [metrics.Config.CountBytes] enables counters of message bytes, with the labels of the
//     calls. hauberk_SIDE_sent_bytes_total and hauberk_SIDE_received_bytes_total count bytes
//     without compression. hauberk_SIDE_sent_compressed_bytes_total and
//     hauberk_SIDE_received_compressed_bytes_total count bytes as compressed.
//     hauberk_SIDE_unmeasured_calls_total counts the calls that are missing in them. It
//     increases without [hauberk.Config.CountBytes].
//   - [metrics.WithLabel] adds labels to all grpc_SIDE and hauberk_SIDE metrics, after the
//     other labels.
//   - [metrics.WithExemplars] adds exemplars to grpc_SIDE_handled_total and
//     grpc_SIDE_handling_seconds. Prometheus receives them if it scrapes OpenMetrics
//     (promhttp.HandlerOpts.EnableOpenMetrics) or protobuf.
//   - [WithNative] adds native histograms to the buckets of grpc_SIDE_handling_seconds.
//
// Methods that are registered with [metrics.Interceptor.Register] have all their series at
// zero from the start, unless there are labels of [metrics.WithLabel]. Other methods have
// series from their first call on, and series of grpc_SIDE_handled_total for the codes that
// occurred. Counters and histograms have created timestamps.
//
// # Differences from go-grpc-middleware
//
// These are the differences from its Prometheus provider 1.1.1, with the interceptors of its
// module 2.3.4. A test in this repository's folder bench makes the same calls through both
// and fails if it finds other differences.
//
//   - The HELP texts differ.
//   - Calls in flight and rejections are exported. go-grpc-middleware does not export them.
//   - A method without messages has message counters at zero. There it has no such series.
//   - A call is handled once, when it has ended. There, a client's stream is handled each
//     time that a receive fails, and never if the application does not receive.
//   - Calls that grpc-go's interceptors do not see are counted: calls of unknown methods,
//     under the service and method "unknown" and the type bidi_stream, and unary calls
//     whose request cannot be decoded.
//   - Codes that gRPC does not define count as Unknown, so that a peer cannot create
//     series. There, each code has its own series.
//   - A client's unary call that is rejected in its own process sends no message, and one
//     that a server rejects on its headers receives none. There, both count one message.
//     The received message of other unary calls that fail on a server is counted as
//     package metrics documents. There, it is always counted.
//   - A response that a server buffers and then replaces by an error was not sent. There,
//     on streams, it counts as sent.
//
// The test does not cover these differences:
//
//   - The histogram is enabled unless [WithoutHandlingTime] disables it. There, it is
//     optional. Its buckets are [metrics.Config.Buckets], with the same default.
//   - There, registered methods have series at zero with empty values of the labels from
//     the context.
//   - There, the counters of started calls and of messages have exemplars too.
//   - There is no histogram of the time that single messages of a client's streams take.
//
// For constant labels and prefixes, which are options there, use
// prometheus.WrapRegistererWith and prometheus.WrapRegistererWithPrefix.
package metricsprom
