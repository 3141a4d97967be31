// Package metrics counts calls: how many, with which codes, how long they took,
// how many messages they moved and what was rejected, per method, on a server, a
// client or both.
//
//	calls := metrics.New(metrics.Config{})
//	chain, err := hauberk.New(calls, …)
//
// [Interceptor.Snapshot] gives the numbers to people and programs in this process.
// Exporters read the same numbers, when they are asked, through [Interceptor.Series]
// and [Interceptor.Rejections]; package metrics/metricsprom is one. Recording is a
// handful of atomic additions and allocates nothing, whatever is exported.
//
// # What is counted
//
// Each call that reaches the interceptor counts once as started, and once as
// handled when it has ended, however it ends: with a status, rejected further in,
// cancelled, abandoned by a client until its context was done, by a panic or by
// runtime.Goexit. What is in flight is the difference. A panic or Goexit that
// passes through counts as Internal and goes on; with a recovery in the chain it
// arrives as the error that recovery makes of it. The code is that of the outcome
// where the interceptor stands: an outermost one sees the final code. A nil
// outcome without the one response that a method must have counts as Internal,
// which it is sent as, and a code that gRPC does not define as Unknown.
//
// The latency is the time from the interceptor's start to the outcome, of streams
// too.
//
// # Messages
//
// Messages count as [hauberk.Call.Sent] and [hauberk.Call.Received] do. Those of a
// running stream are in the numbers as they flow, its single request or response
// apart, which enters when the call ends.
//
// For one number gRPC's kinds leave no exact answer without an allocation: whether
// a unary call that failed on a server had its request read. Unless
// [Config.ExactMessages] asks for it, such a request counts as received, except
// where the outcome is a rejection made in this process (a [hauberk.Rejection])
// before anything had read the request. That is too much by one for a request
// that could not be decoded or that an interceptor turned away with an ordinary error, and
// too little by one for a handler that returns a Rejection.
//
// # Rejections
//
// An outcome whose status is that of a [hauberk.Rejection], which it may wrap, was
// rejected in this process: it counts as [Enforced] under the Rejection's reason, and
// under the name of the interceptor that rejected, which it or the chain has recorded
// ([hauberk.Decisions.Recorded]). It is [Unknown] only if no interceptor rejected in place of
// calling next: for a Rejection of a handler or of a hook, or of an interceptor whose next
// had returned. A decision that was recorded but not enforced ([hauberk.Shadow])
// counts as [Shadowed]. On a client an outcome with a google.rpc.ErrorInfo that
// came over the wire counts as [Remote], under its reason, whatever its domain. The
// three are kept apart, so that none can be taken for another, and so that a
// server cannot push the reasons of this process out of the bounds below. On a
// server an ErrorInfo that a handler passes on from elsewhere is no rejection.
//
// # By choice
//
//   - [Config.Decisions]: every verdict of every interceptor that decides and stands
//     further in, [hauberk.Allowed] too, enforced or in shadow. An instance inside
//     retries counts what interceptors recorded in each attempt, and that an interceptor just let
//     calls pass once for all attempts.
//   - [Config.CountBytes]: bytes of messages, before and after compression. The chain
//     must have [hauberk.WireSizes]; where it does not, Unmeasured in [Bytes] grows
//     with the calls. The bytes of a call count when it has ended and, on a server,
//     its response has been written. On a client outside of retries they are those
//     of the last attempt.
//   - [WithLabel]: labels of the application's own, such as a tenant.
//   - [WithExemplars]: calls to look up, by trace id.
//   - [Interceptor.AddRecorder]: numbers that an exporter keeps itself, as package
//     metrics/metricsprom does for native histograms.
//
// Decisions, bytes and exemplars cost allocations; without them, and with labels,
// recording costs none.
//
// # Bounds
//
// The names of methods and reasons, and the values of labels, may come from anyone,
// so they are bounded. A method that the server does not know counts under the
// service and the method [Unknown], unless [Interceptor.Register] named it. A client
// takes up [Config.MaxMethods] methods; calls of further ones, and of names longer
// than 256 bytes or not in UTF-8, count under [Other]. Of rejections there are up to
// [Config.MaxReasons] pairs of interceptor and reason for each side and each of
// Enforced, Shadowed and Remote, and then Other. Labels have up to
// [Config.MaxLabelSets] combinations of values on each side, which make up to
// [Config.MaxLabelSeries] series, and then Other. A method takes about 7.3 KB, of
// which 6.4 KiB are the quantiles, and a series of labels about 0.6 KB.
//
// # Place
//
// [hauberk.PhaseMetrics]: outside everything that may reject a call. On a client
// it stands outside retries and counts calls; another instance inside them counts
// attempts. (Of attempts that run beside each other, what one records as not
// enforced counts for each that has not ended.) One instance may serve any number of chains, of servers and clients:
// the two sides are kept apart.
package metrics
