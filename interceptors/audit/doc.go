// Package audit records calls for an audit: who called what, from where, with which fields of the request and
// with which outcome. Records go to a sink: a file, log/slog or a function.
//
//	file, err := audit.OpenFile(audit.FileConfig{Path: "/var/log/shop/audit.jsonl"})
//	…
//	records := audit.New(audit.Config{
//		Requests: []audit.Request{{Methods: []string{"shop.v1.Orders/*"}, Fields: []string{"order.id"}}},
//	}, file, audit.State("request_id", requestid.Key))
//	chain, err := hauberk.New(
//		requestid.New(requestid.Config{}),
//		hauberk.Except(hauberk.Health, records),
//		recovery.New(recovery.Config{}),
//		authn.New(…), authz.New(…),
//	)
//
// # Which calls
//
// All calls of the methods that the interceptor runs for, rejected ones too: choose methods with hauberk.For and
// hauberk.Except. None is left out by default, health checks included. It works on servers and clients for
// calls of every kind. On a client a record has the server's address as its peer, and no identity.
//
// Place it inside of requestid, tracing, metrics and logging, whose outcomes then include calls that end because
// their record was not written. Place it outside of recovery, whose panics are recorded, and of authn: the
// identity, the state and the decisions of inner interceptors are read when the call has ended.
//
// # Which records
//
//   - A unary call has one record, at its end ([StageEnd]), and with [StartAll] one at its start.
//   - A stream has one at its start ([StageStart]), before the handler runs and so before its first response, and
//     one at its end. A record at the start without one at the end is of a call that still runs, or ran when
//     the process ended.
//   - The record at the start has no identity: nothing has authenticated the call yet. [Interceptor.Admitted]
//     writes it later in the chain, with the identity, and only for calls that nothing has rejected.
//   - A record has fields of the request only if the request has been read: a server does not read those of
//     calls that it rejects by their header. Of a stream it has the first request. Requests of a sidecar
//     without descriptors are not decoded, and have none.
//   - Records have no texts of errors, no metadata, and of the identity the subject, issuer, tenant and method.
//
// # What is promised
//
// By default the interceptor fails closed: no response, and no status of a stream, leaves a server before its
// record is stored, and on a client the application gets none. A call whose record is not stored ends with
// UNAVAILABLE and the reason AUDIT_FAILED ([ErrFailed] in this process):
//
//   - If the record at the start fails, the handler does not run.
//   - If the record at the end fails, the handler has run, and its effects remain. Clients that retry
//     UNAVAILABLE repeat them, unless idempotency is in the chain. With StartAll the effects of unary calls have
//     at least a record at the start.
//   - A header that a handler sends with grpc.SendHeader leaves before the record of a unary call.
//   - The record has the outcome at the interceptor's place. An outer interceptor, or a response that cannot be
//     encoded, may still change it.
//   - A write that times out may be stored all the same.
//   - The status of a call that the server ends while its handler runs ([hauberk.Call.End]: a shutdown, a changed
//     serving state, an expired credential, a deadline) leaves before its record at the end, which is written when the
//     handler has returned. A stream has its record at the start by then, a unary call with StartAll.
//
// With [File], a record is stored when fsync has returned: it survives SIGKILL and a failure of the power. With
// FileConfig.NoSync it survives SIGKILL. A sink that blocks holds up a call for at most Config.Timeout. A panic of a
// sink is a failed write. Nothing protects records from a person who can change the file.
//
// With [Config].BestEffort calls never wait for the sink, and never fail because of it. Up to Config.Queue
// records wait; those beyond it, and those that wait when the process is killed, are lost. [WithFailed] and
// [Interceptor.Measurements] report lost records.
//
// # The file
//
// [File] appends JSON lines: one record a line, with the members of [Record.MarshalJSON]. Control characters are
// escaped, and invalid UTF-8 is replaced, so that no text of a caller makes a line. Concurrent records share one
// write and one fsync. [OpenFile] repairs a last line that a killed process has left without an end. [Read]
// reads a file. With FileConfig.MaxSize it is renamed when it is full, and FileConfig.Keep bounds the renamed files;
// [Files] lists them. Each record is in one of them, whenever the process is killed. Another program may rotate the
// file instead: if it renames it, the next record opens the path anew.
package audit
