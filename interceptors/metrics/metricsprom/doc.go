// Package metricsprom shows what a [metrics.Interceptor] has counted to Prometheus,
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
// And of rejections, which package metrics explains:
//
//   - hauberk_rejections_total, a counter of calls rejected in this process, with the
//     labels side, interceptor and reason.
//   - hauberk_shadow_rejections_total, a counter of rejections that were not enforced,
//     with the same labels.
//   - hauberk_remote_rejections_total, a counter of calls of clients that the other end
//     rejected with a reason, with the label reason.
//
// By choice:
//
//   - hauberk_decisions_total, a counter of verdicts, with the labels side,
//     interceptor, verdict (allowed, rejected) and mode (enforced, shadow):
//     [metrics.Config.Decisions].
//   - hauberk_SIDE_sent_bytes_total, hauberk_SIDE_received_bytes_total,
//     hauberk_SIDE_sent_compressed_bytes_total and
//     hauberk_SIDE_received_compressed_bytes_total, counters of the bytes of messages
//     before compression and as they were sent, with the labels of the calls:
//     [metrics.Config.CountBytes]. hauberk_SIDE_unmeasured_calls_total counts the calls
//     that are not in them; if it grows, the chain lacks [hauberk.WireSizes].
//   - Labels of the application's own on all of grpc_SIDE and hauberk_SIDE, after the
//     others: [metrics.WithLabel].
//   - Exemplars on grpc_SIDE_handled_total and grpc_SIDE_handling_seconds:
//     [metrics.WithExemplars]. Prometheus gets them where it scrapes OpenMetrics
//     (promhttp.HandlerOpts.EnableOpenMetrics) or protobuf.
//   - Native histograms beside the buckets of grpc_SIDE_handling_seconds:
//     [WithNative].
//
// The methods registered with [metrics.Interceptor.Register] have all series at zero
// from the start, unless there are labels; others have theirs from their first
// call, and grpc_SIDE_handled_total for the codes that occurred. Counters and
// histograms have created timestamps.
//
// # Differences from go-grpc-middleware
//
// As of its Prometheus provider 1.1.1, with interceptors of its module 2.3.4. A test
// in this repository's folder bench makes the same calls through both, and finds
// these differences and no others:
//
//   - The texts of HELP are our own.
//   - There is a gauge of calls in flight, and rejections are counted.
//   - Messages that have not been sent or received count zero; there they have no
//     series.
//   - A call is handled once, when it has ended. There a client's stream is handled
//     each time that a receive fails, and never if the application does not receive.
//   - Calls that no interceptor of grpc-go sees count too: those of unknown methods,
//     under the service and method "unknown" and the type bidi_stream, and unary ones
//     whose request cannot be decoded.
//   - Codes that gRPC does not define count as Unknown, so that a peer cannot make
//     series; there each is a series of its own.
//   - A client's unary call that is rejected in its own process sends no message, and
//     one that a server rejects on its headers receives none there; there both count
//     one. Otherwise the received message of a unary call that fails on a server is
//     as package metrics says; there it always counts.
//   - A response that a server holds and then replaces by an error was not sent;
//     there, of a stream, it was.
//
// And of what that test does not make both do:
//
//   - The histogram is there unless [WithoutHandlingTime] leaves it out; there it is
//     an option. Its buckets are [metrics.Config.Buckets]; the default is the same.
//   - With labels from the context, registered methods have series at zero there,
//     with empty values.
//   - There the counters of calls started and of messages have exemplars too.
//   - There is no histogram of the time that single messages of a client's streams
//     take.
//
// Constant labels and prefixes, options there, are Prometheus' own:
// prometheus.WrapRegistererWith and prometheus.WrapRegistererWithPrefix. With a
// label they also let two instances share a registry, say of calls and of attempts.
package metricsprom
