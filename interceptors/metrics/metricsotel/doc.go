// Package metricsotel records calls in the OpenTelemetry instruments of gRFC A66.
//
// It works on servers and clients, and optionally records the instruments of gRFC A96.
//
//	chain, err := hauberk.Config{CountBytes: true}.New(metricsotel.New(metricsotel.Config{}), …)
//
// # Instruments
//
// On a server: grpc.server.call.started, .duration, .sent_total_compressed_message_size and
// .rcvd_total_compressed_message_size. On a client: the same of grpc.client.attempt, and
// grpc.client.call.duration.
//
// Names, units, descriptions, attributes and advised buckets are those of grpc-go's
// google.golang.org/grpc/stats/opentelemetry. Dashboards for one work with the other. The
// instrumentation scope is [ScopeName]. Do not use both on a server or a connection: they
// record everything twice, in two scopes.
//
// A call counts as started when it reaches the interceptor. It is recorded once when it has
// ended there, however it ends: with a status, rejected by an inner interceptor, cancelled,
// abandoned by a client until its context is done, by a panic or by runtime.Goexit. A panic and
// a Goexit count as INTERNAL. grpc.status is the status of the outcome that the interceptor
// receives: OK, or a name such as DEADLINE_EXCEEDED. A code that gRPC does not define is
// UNKNOWN. The duration, in seconds, is the time from the start of the interceptor to the
// outcome.
//
// Sizes are those of [hauberk.Call.Wire]. Without [hauberk.Config.CountBytes], or on a
// connection that was not made with the chain's DialOptions, sizes are not measured and the
// instruments of sizes record nothing, not zero. On a server sizes are recorded when the
// response has been written. The sizes of a stream that is cancelled while the application
// sends are those of the messages sent by then.
//
// # Calls and attempts
//
// An attempt is one call of next in a client's chain. There are two ways to place the metrics:
//
//	metricsotel.New(…)                       // one interceptor: each call is one attempt
//	m.Calls(), retry.New(…), …, m.Attempts() // two interceptors: separate calls and attempts
//
// Use one interceptor if nothing in the chain retries, hedges, rejects or answers calls. One
// interceptor does not see the attempts of inner interceptors. It records a call that is
// rejected as an attempt with that status, and a call that is retried as one attempt with the
// sizes of the last.
//
// Two interceptors record the exact attempts. hauberk.New rejects a chain with Attempts but
// without an outer Calls of the same [Interceptor].
//
// grpc-go also retries: by a retryPolicy of the service config, and transparently. Its retries
// run inside one attempt of the chain, which is recorded with the outcome of the last retry and
// the sizes of all. grpc-go's stats/opentelemetry records each retry. If you need that, use
// grpc-go's DialOption on the connection instead of this package, or disable grpc-go's retries
// (grpc.WithDisableRetry, which does not disable transparent ones) and retry in the chain.
//
// # Retries and hedges
//
// [Config.Enable] enables [ClientCallRetries], [ClientCallHedges] and [ClientCallRetryDelay] of
// gRFC A96. Calls records them for the attempts that Attempts has seen:
//
//   - An attempt that begins while another one runs is a hedge.
//   - An attempt that begins after all others have ended is a retry.
//   - The delay is the time before retries during which no attempt ran.
//
// A call without retries records no number of retries and no delay. A call without hedges
// records no number of hedges. gRFC A96 specifies this for the two numbers, and the delay
// follows the number of retries. The fourth instrument of that gRFC,
// grpc.client.call.transparent_retries, does not exist here, since transparent retries happen
// inside grpc-go.
//
// # Attributes
//
// grpc.method is the full name of the method without the leading slash.
//
//   - On a server it is the name of registered methods, and [Other] for all others.
//   - On a client it is the name of methods called by generated code, which passes
//     grpc.StaticMethod, and Other for all others.
//   - [WithGenericMethods] records chosen names of the others. [WithMethodFilter] hides names.
//
// grpc.target is [hauberk.Call.Target], the canonical target of the connection. It is Other for
// connections that are not grpc-go's. [WithTargetFilter] hides targets.
//
// Names and targets that are longer than 256 bytes or not UTF-8 are Other, and so are those
// beyond [Config.MaxSeries]. The number of data points is therefore bounded for all peers.
//
// Only grpc-go knows the optional labels of A66, A78 and A89 (grpc.lb.locality,
// grpc.lb.backend_service) and the instruments of load balancers, resolvers and xDS. Use its
// stats/opentelemetry for them. Its Metrics option can select them.
//
// # Other differences from grpc-go
//
// A test holds this list.
//
//   - On a server, calls that grpc-go answers before any chain are not recorded: those with a
//     malformed method or an unknown encoding.
//   - The one response of a method is encoded after the chain has returned. If that fails, the
//     call is recorded with the outcome of the chain.
//   - An attempt that grpc-go ends before it begins one, because the context is done or the
//     connection closed, is recorded.
//   - If a failed SendMsg is the first to report the end of an attempt, grpc-go records the
//     attempt as OK. This package records its status.
//
// # Cost
//
// The attributes of each method, target and status are built once. With the OpenTelemetry SDK
// recording allocates nothing, with two exceptions: two allocations per client call if A96 is
// enabled, and those for recording the sizes of a server's call later. The SDK takes most of
// the time.
package metricsotel
