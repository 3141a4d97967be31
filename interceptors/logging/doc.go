// Package logging writes one log record for each call, to a [log/slog.Logger], when
// the call ends, however it ends. Optionally it writes another record when the call
// starts, and one for each message.
//
// # The record of a call
//
// The message of the record is "call ended", its time is the end of the call, and its
// level depends on the code of the call. It has these attributes in this order, each
// of them if it applies:
//
//	rpc.system.name             "grpc"
//	rpc.side                    "server" or "client"
//	rpc.service                 "shop.v1.Cart"
//	rpc.method                  "shop.v1.Cart/Get", as in spans
//	rpc.kind                    "unary", "client_stream", "server_stream" or "bidi_stream"
//	rpc.response.status_code    "OK", "NOT_FOUND", …, as in spans
//	error.message               the text of the error, with the texts of its causes, without
//	                            the code; on a client with Config.ClientErrors
//	hauberk.rejection.reason    the reason of a rejection, in UPPER_SNAKE_CASE
//	rpc.sent                    messages that this side sent, on a client in the last attempt
//	rpc.received                messages that this side received, likewise
//	network.peer.address, .port the other end of the connection; on a client with
//	                            Config.ClientPeer
//	client.address              on a server, where the call comes from, if that is not the peer
//	rpc.duration                a time.Duration: slog's JSON handler writes nanoseconds
//	rpc.sent_bytes              the sizes of the messages, if the chain counts bytes: before
//	rpc.sent_compressed_bytes   compression, and as the transport carries them
//	rpc.received_bytes
//	rpc.received_compressed_bytes
//	rpc.deadline_left           a time.Duration: the time to the deadline at the start
//	rpc.request.metadata        groups, with Config.Metadata
//	rpc.response.metadata
//	rpc.response.trailer
//	…                           the state that State names, such as request_id
//	hauberk.identity            on a server, a group with the caller, with Config.Identity
//	hauberk.decisions           verdicts of deciding interceptors, enforced or in shadow:
//	                            rejections, with Config.Decisions all
//	hauberk.decisions_dropped   the number of decisions beyond 64
//	…                           what AddFields adds
//	hauberk.fields_dropped      the number of fields beyond MaxFields
//	…                           what the functions of WithAttrs append
//	hauberk.sampled_out         the number of calls of the method that Sampling left out
//	                            since the last record
//
// The record of a start ("call started") has those attributes that are known by then.
//
// The interceptor runs outside the interceptors whose rejections it logs: a call that an
// outer interceptor rejects has no record. On a client it sees calls if it runs outside
// retries, and attempts if it runs inside. If the chain counts bytes, a server writes
// its record after the response is written, which is after the chain has returned.
//
// # Names
//
// The names are those of OpenTelemetry's semantic conventions where these have one. None
// of them is a name that programs give to their own attributes, such as "service".
// [Config].Names replaces any of them, or all by those of go-grpc-middleware
// ([MiddlewareNames]).
//
// # Request ids, users, traces
//
// Request ids, users and attempts are state of other interceptors. tracing.LogAttrs
// appends the ids of trace and span:
//
//	logging.New(logging.Config{},
//		logging.State("request_id", requestid.Key),
//		logging.State("user", authn.User),
//		logging.State("attempt", retry.Attempt),
//		logging.WithAttrs(tracing.LogAttrs))
//
// [Handler] adds the same attributes to the log lines of the application.
//
// # Messages and payloads
//
// With Config.Messages there is a record for each message ("message passed"), written
// when the message passes the interceptor's place in the chain. A message that cannot be
// sent has no record. The attributes are:
//
//	rpc.message.direction         "sent" or "received"
//	rpc.message.id                from 1, in each direction
//	rpc.message.full_name         the type of the message
//	rpc.message.uncompressed_size in bytes, if it is known
//	rpc.message.payload           with [Payloads]: protobuf JSON, without the fields that are
//	                              marked debug_redact or that the Config names
//	…                             state, and what the functions of WithAttrs append
//
// # Rules and sampling
//
// A [Rule] changes what is logged for the methods that it names, or turns logging off.
// [Sampling] leaves calls out, by method and level, but no failed call and no slow one
// (Config.Slow; a long stream is always slow). Rules and sampling cost a call a few
// nanoseconds. A call that is left out costs nothing else.
//
// Callers invent the names of unknown methods. Rules apply to them, the interceptor
// keeps no data for them, and Sampling counts them as one method. It keeps data for up
// to 4096 known methods; then it discards the data and starts again.
//
// # The queue
//
// With Config.Queue calls pass their records to one goroutine of the interceptor and
// never wait for the log. If the queue is full, records are dropped and counted
// ([Interceptor.Dropped]). The goroutine starts with the first record. Call
// [Interceptor.Close] to end it when the servers have stopped. The call evaluates values
// with a LogValue method. The goroutine reads all other values later: they must not be
// modified after they were passed to [AddFields].
//
// # Secrets and forged lines
//
// The text of an error is logged in full, with the errors that it wraps and the causes
// of rejections, which clients do not receive. Metadata and the contents of messages are
// logged only with Config.Metadata and Config.Payloads, and then without known secrets.
// State is logged only if it is a text, a number, a boolean, a time, a list of texts or an
// error, or if its type has a LogValue or MarshalText method. The value of a panic is not
// logged.
//
// Names and texts that callers influence are cut: names after 256 bytes, error texts and
// state after 4096. Characters that control terminals are replaced. slog's handlers
// escape the rest, so that no caller can forge a line or an attribute. What the program
// adds with [AddFields] and [WithAttrs] is passed to the handler unchanged.
package logging
