// Package report gives failures of calls to a function: an incident reporter such as Sentry, or a queue.
//
//	chain, err := hauberk.New(
//		report.New(report.Config{}, send,
//			report.State("request_id", requestid.Key), report.WithAttrs(tracing.LogAttrs)),
//		recovery.New(recovery.Config{}),
//	)
//
//	func send(ctx context.Context, i report.Incident) {
//		event := map[string]any{"method": i.Method, "error": i.Err, "user": i.User, "suppressed": i.Suppressed}
//		…
//	}
//
// # What is reported
//
// Calls that panicked, and calls that end with a code of [Config].Codes: by default UNKNOWN, INTERNAL and
// DATA_LOSS. Rejections by inner interceptors are reported if they have such a code. [Config].Ignore leaves
// out methods, codes and reasons. It works on both sides and for calls of every kind.
//
// Place it outside of recovery. Without recovery a panic is reported while it unwinds the goroutine of the
// call, and continues: on a server it then ends the process.
//
// # How often
//
// Incidents with the same method, code, reason and place of the panic are alike. After one was reported, those
// like it are counted for [Config].Every, one minute by default; the next report has their number. At most
// [Config].PerMinute incidents of all kinds are reported in a minute. So an outage does not flood the
// reporter, and a rare failure is not hidden by a frequent one. Up to [Config].MaxKinds kinds are
// remembered; beyond that the least recently seen is forgotten.
//
// # The function
//
// It runs on the goroutine of the call when the call has ended, and delays the status of a server by as
// long as it takes: send the incident from another goroutine. It may be called concurrently. A panic of
// it is contained and counted. [Incident] refers to the error and the identity of the call, which may
// have secrets: choose what leaves the process. Nothing of an incident is sent to the other end of the call.
package report
