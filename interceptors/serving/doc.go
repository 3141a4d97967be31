// Package serving accepts calls by the state of a server, which can be switched while it runs.
//
//	state := serving.New(serving.Config{}, serving.WithHealth(health), serving.WithLogger(logger))
//	chain, err := hauberk.New(logging.New(logging.Config{}), state)
//	...
//	err = state.Set(serving.Serving)  // after the caches are warm
//	err = state.Set(serving.ReadOnly) // while a backup runs
//
// # States
//
// Five states have rules from the start. [Config].States replaces them, and declares further ones:
//
//	state        methods that are accepted        others receive                       health
//	starting     none                             UNAVAILABLE, RetryInfo 1 s           NOT_SERVING
//	serving      all                                                                   SERVING
//	read-only    those with NO_SIDE_EFFECTS       FAILED_PRECONDITION                  SERVING
//	maintenance  none                             UNAVAILABLE, RetryInfo 30 s          NOT_SERVING
//	draining     none                             UNAVAILABLE; streams have 10 s more  NOT_SERVING
//
// NO_SIDE_EFFECTS is the idempotency_level of the method in its .proto file, or that of its hauberk.v1.policy
// (hauberk.Method.NoSideEffects). The program must contain the generated code. Methods without the option have
// to be listed in [Rule].Methods. The health and reflection services ([hauberk.Health], [hauberk.Reflection])
// and [Config].Exempt are accepted in each state. All other methods are subject to the rules, also those in
// hauberk.Config.Public and unknown ones.
//
// # Changes
//
// No call is accepted after [Interceptor.Set] has returned that the new state does not accept. Streams that run
// and that it does not accept end with the status that new calls receive, after [Rule].Grace: the context of the
// handler is done, and what it receives or sends fails. Unary calls that run go on. [Interceptor.Idle] waits
// until no call runs that the state does not accept, such as before a backup.
//
// # Health, readiness and metrics
//
// With [WithHealth] the health service reports the state: watchers receive each change. A state that is not ready
// is reported before calls are rejected. [Interceptor.ReadyHandler] answers HTTP probes. A sidecar that checks the
// health of its upstream ("upstream_health" in its policy file) is not ready in these states. Explain shows the state
// and in which states a method is accepted. Rejections have a reason for each state, and decisions in all states but
// those that accept everything. [Interceptor.Measurements] has the state, changes, rejected calls, ended
// streams and running calls.
//
// # Shutdown
//
// A [hauberk.Server] ends streams by itself: see hauberk.Config.Drain. Its shutdown does not change the state: pass the
// server to [Interceptor.ReadyHandler], so that HTTP probes notice the shutdown too. On other servers of grpc-go,
// [Interceptor.Shutdown] does it with the state draining, which [Interceptor.Set] does not change any more: a start
// that ends during the shutdown does not make the server ready.
package serving
