// Package metrics counts and times calls, on servers and clients.
//
// It counts calls, status codes, latencies, messages and rejections per method.
//
//	calls := metrics.New(metrics.Config{})
//	chain, err := hauberk.New(calls, …)
//
// [Interceptor.Snapshot] returns the numbers for people and programs in this process.
// Exporters read the same numbers on demand with [Interceptor.Series],
// [Interceptor.Rejections] and [Interceptor.Decisions]. Package metrics/metricsprom is an
// exporter. Recording takes a few atomic additions and allocates nothing, whether or not the
// numbers are exported.
//
// # Calls
//
// Each call that reaches the interceptor counts once as started. It counts once as handled
// when it has ended, however it ends: with a status, rejected by an inner interceptor,
// cancelled, abandoned by a client until its context is done, by a panic or by
// runtime.Goexit. The difference is the number of calls in flight.
//
// The code of a call is the code of the outcome that the interceptor receives. An outermost
// interceptor receives the final code.
//
//   - A panic or Goexit counts as Internal and continues. If the chain has a recovery, the
//     interceptor receives the error of the recovery instead.
//   - A nil outcome without the one response that a method requires counts as Internal,
//     which is the status that the chain sends for it.
//   - A code that gRPC does not define counts as Unknown.
//
// The latency is the time from the start of the interceptor to the outcome, for streams too.
//
// # Messages
//
// Messages are counted by [hauberk.Call.Sent] and [hauberk.Call.Received]. The messages of a
// running stream are included as they flow. Its single request or response, if the method has
// one, is included when the call ends.
//
// One number is not exact without an allocation: whether the server read the request of a
// unary call that failed. Without [Config.ExactMessages] the request counts as received,
// unless the outcome is a [hauberk.Rejection] made in this process and nothing had read the
// request. The number is then too high by one for a request that could not be decoded or that
// an interceptor rejected with an ordinary error. It is too low by one for a handler that
// returns a Rejection.
//
// # Rejections
//
// Rejections have an [Origin]. Separate origins prevent a server from using up the bound on
// the reasons of this process (see Bounds).
//
//   - [Enforced]: the outcome is a [hauberk.Rejection] made in this process, or wraps one and
//     keeps its status. It counts under its reason and under the interceptor that recorded the
//     rejection. The interceptor is [Unknown] if no interceptor rejected the call instead of
//     calling next: for a Rejection from a handler, from a hook, or from an interceptor whose
//     next had returned.
//   - [Shadowed]: a rejection that was recorded but not enforced: see [hauberk.Shadow].
//   - [Remote]: a client's call ended with a google.rpc.ErrorInfo from the server. It counts
//     under its reason, in any domain. An ErrorInfo that a server's handler passes on from
//     another server is not a rejection.
//
// # Optional numbers
//
//   - [Config.Decisions] counts each decision of each inner interceptor that decides,
//     [hauberk.Allowed] too, enforced or in shadow. An interceptor inside retries counts the
//     decisions of each attempt, but counts once for all attempts that an interceptor allowed
//     them without recording a decision.
//   - [Config.CountBytes] counts the bytes of messages, with and without compression. It
//     requires [hauberk.Config.CountBytes]; otherwise [Bytes.Unmeasured] counts the calls.
//     The bytes of a call count when it has ended and, on a server, its response has
//     been written. On a client, outside retries, they are those of the last attempt.
//   - [WithLabel] adds labels of the application, such as a tenant.
//   - [WithExemplars] keeps the trace ID, or other labels, of recent calls.
//   - [Interceptor.AddRecorder] serves exporters with additional numbers, such as the
//     native histograms of package metrics/metricsprom.
//
// Decisions, bytes and exemplars cost allocations. Labels do not.
//
// # Bounds
//
// Peers can choose the names of methods and reasons and the values of labels. The number of
// names is therefore bounded:
//
//   - On a server, a method that the server does not know counts under the service and the
//     method [Unknown], unless [Interceptor.Register] named it.
//   - On a client, [Config.MaxMethods] methods have their own numbers. Calls of other methods
//     count under [Other], and so do names that are longer than 256 bytes or not UTF-8.
//   - [Config.MaxReasons] bounds the pairs of interceptor and reason for each side and each
//     origin. Other pairs count under Other.
//   - [Config.MaxLabelSets] bounds the combinations of label values on each side, and
//     [Config.MaxLabelSeries] their series in all methods. Other combinations count under
//     Other.
//
// A method takes about 7.3 KB, of which 6.4 KiB are the quantiles. A series with labels takes
// about 0.6 KB.
//
// # Order
//
// The interceptor has [hauberk.PhaseMetrics]: it runs outside all interceptors that may reject
// a call. On a client, an instance outside retries counts calls, and another instance inside
// them counts attempts. If attempts run concurrently, a decision that one of them records as
// not enforced counts for each attempt that has not ended. One instance can serve any number
// of chains of servers and clients. It keeps the two sides separate.
package metrics
