// Package metricsotel records calls in the OpenTelemetry instruments of gRFC A66,
// on a server, a client or both, and by choice those of gRFC A96.
//
//	chain, err := hauberk.Config{CountBytes: true}.New(metricsotel.New(metricsotel.Config{}), …)
//
// # What is recorded
//
// On a server grpc.server.call.started, .duration,
// .sent_total_compressed_message_size and .rcvd_total_compressed_message_size; on a
// client the same of grpc.client.attempt, and grpc.client.call.duration. Their
// names, units, descriptions, attributes and advised buckets are those of grpc-go's
// own google.golang.org/grpc/stats/opentelemetry: dashboards over one read the
// other. The instrumentation scope is [ScopeName]. Use one of the two on a server
// or a connection: both together record everything twice, in two scopes.
//
// A call counts as started when it reaches the interceptor, and is recorded once
// when it has ended there, however it ends: with a status, rejected further in,
// cancelled, abandoned by a client until its context was done, by a panic or by
// runtime.Goexit, which count as INTERNAL. grpc.status is that of the outcome where
// the interceptor stands, OK or a name such as DEADLINE_EXCEEDED; a code that gRPC
// does not define is UNKNOWN. The duration, in seconds, is that from the
// interceptor's start to the outcome.
//
// Sizes are what [hauberk.Call.Wire] measures: a chain without [hauberk.Config.CountBytes],
// or a connection that was not made with its DialOptions, records nothing in the
// instruments of sizes, which an exporter then does not show. They never show a
// zero for what was not measured. On a server they are recorded once the response
// has been written. Those of a stream that is cancelled while the application still
// sends are what it had sent by then.
//
// # Calls and attempts
//
// An attempt is each next that the chain of a client makes. There are two ways to
// place the metrics:
//
//	metricsotel.New(…)           // one interceptor: each call is one attempt
//
//	m.Calls(), retry.New(…), …, m.Attempts()  // two interceptors: each is recorded where it is seen
//
// One interceptor is right where nothing in the chain retries, hedges, rejects or answers
// calls. It cannot see what becomes of a call further in: it takes one that is
// rejected for an attempt with that status, and one that is retried for one attempt,
// with the sizes of the last. Two interceptors record exactly what is attempted. The two
// belong together: hauberk.New rejects a chain that has Attempts without Calls of
// the same [Interceptor] further out.
//
// grpc-go retries too: by a retryPolicy of the service config, and transparently,
// whether or not there is one. Its retries run inside one attempt of the chain,
// which is recorded as one, with the outcome of the last and the sizes of all.
// There grpc-go's stats/opentelemetry tells more: it records each. Where that
// matters, put grpc-go's DialOption on the connection in place of this package, or
// turn grpc-go's retries off (grpc.WithDisableRetry, transparent ones apart) and
// retry in the chain.
//
// Of gRFC A96, [ClientCallRetries], [ClientCallHedges] and [ClientCallRetryDelay]
// are recorded by Calls where [Config.Enable] names them, for attempts that Attempts
// has seen: one that began beside another is a hedge, one that began after the
// others had ended a retry, and the delay is the time before retries in which none
// ran. Of a call without retries, or without hedges, nothing is recorded: that gRFC
// says so of the two numbers, and the delay is treated as the number of retries is.
// Its fourth instrument, grpc.client.call.transparent_retries, is not offered, since
// those happen inside grpc-go.
//
// # Attributes
//
// grpc.method is the full name without the leading slash. On a server it is that of
// registered methods, and [Other] for the rest. On a client it is that of calls made
// by generated code, which carry grpc.StaticMethod, and Other for the rest:
// [WithGenericMethods] shows chosen names of the rest, [WithMethodFilter] hides
// names. grpc.target is [hauberk.Call.Target], the connection's canonical target, or
// Other for connections that are not grpc-go's; [WithTargetFilter] hides targets.
// Names and targets of more than 256 bytes, or not in UTF-8, are Other, and so is
// what comes after [Config.MaxSeries]: the number of data points is bounded whatever
// peers send.
//
// The optional labels of A66, A78 and A89 (grpc.lb.locality, grpc.lb.backend_service)
// and the instruments of load balancers, resolvers and xDS are known to grpc-go alone:
// they need its stats/opentelemetry, whose Metrics option can be narrowed to them.
//
// # Other differences from grpc-go
//
// Calls that grpc-go answers before any chain, for a malformed method or an unknown
// encoding, are not recorded on a server. The one response of a method is encoded
// after the chain has returned: a call for which that fails is recorded with the
// chain's outcome. An attempt that grpc-go ends before it begins one, because the
// context is done or the connection closed, is recorded. grpc-go records an attempt
// as OK, whatever its status, if a failed SendMsg was the first to tell that it was
// over; here it has its status. A test holds this list.
//
// # Cost
//
// The attributes of each method, target and status are built once; recording
// allocates nothing with the OpenTelemetry SDK, but for two allocations of a call on
// a client whose attempts are counted for A96, and for what it takes to record the
// sizes of a call on a server later. The time is mostly the SDK's.
package metricsotel
