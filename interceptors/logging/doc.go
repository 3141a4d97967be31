// Package logging writes a record of every call to a [log/slog.Logger], when the
// call has ended, whatever way it did; by choice another when it starts, and one for
// each message.
//
// # The record of a call
//
// The record's message is "call ended", its time that of the end, its level that
// of the call's code. Its attributes, in this order, where they apply:
//
//	side                       "server" or "client"
//	service                    "shop.v1.Cart"
//	method                     "Get"
//	kind                       "unary", "client_stream", "server_stream" or "bidi_stream"
//	code                       "OK", "NotFound", …: the code's name in grpc-go
//	error                      the error's text, with the texts of its causes; on a
//	                           client with Config.ClientErrors
//	reason                     that of a rejection, in UPPER_SNAKE_CASE
//	peer                       the other end's address; on a client with Config.ClientPeer
//	duration                   a time.Duration: slog's JSON handler writes nanoseconds
//	sent                       messages sent by this side, on a client by the last attempt
//	received                   messages received by this side, likewise
//	sent_bytes                 their sizes, where the chain measures them
//	sent_compressed_bytes      (hauberk.Config.CountBytes): before compression, and as they
//	received_bytes             went over the wire
//	received_compressed_bytes
//	deadline_left              a time.Duration: how far off the deadline was at the start
//	request_metadata           groups, with Config.Metadata
//	response_header
//	response_trailer
//	…                          the state that State names, such as request_id
//	decisions                  what deciding interceptors said, enforced or in shadow: rejections,
//	                           with Config.Decisions all
//	decisions_dropped          how many were more than 64
//	…                          what AddFields added
//	fields_dropped             how many were too many for it
//	…                          what the functions of WithAttrs append
//	sampled_out                how many calls of the method Sampling left out before
//
// The record of a start ("call started") has of these what is known by then. The
// interceptor stands outside of what it is to tell of: a call that an interceptor further
// out rejects leaves no record. On a client it sees calls when it stands outside
// retries, and attempts when it stands inside. Where sizes are measured, a server's
// record is written when the response is, after the chain has returned.
//
// Request ids, users and attempts are state of other interceptors, and tracing.LogAttrs
// appends the ids of the call's trace and span:
//
//	logging.New(logging.Config{},
//		logging.State("request_id", requestid.Key),
//		logging.State("user", authn.User),
//		logging.State("attempt", retry.Attempt),
//		logging.WithAttrs(tracing.LogAttrs))
//
// # Messages and payloads
//
// With Config.Messages there is a record for each message ("message passed"), as it
// passes the interceptor's place in the chain: direction ("sent" or "received"),
// sequence (from 1, in each direction), type, size (in bytes as encoded, where known)
// and the state; a message that fails to be sent has none. With [Payloads] there is
// payload, too: protobuf JSON without what is marked debug_redact or named.
//
// # Less of it
//
// A [Rule] says what is logged of the methods that it names, or nothing. [Sampling]
// leaves calls out, by method and level, but none that failed or was slow
// (Config.Slow; a long stream is always slow). Rules and sampling cost a call a few
// nanoseconds, and what is not chosen nothing. Method names that a server does not
// know are made up by callers: the rules hold for them, nothing is kept of them, and
// they are sampled as one method. What is kept of known methods is let go when there
// are more than 4096, and counted anew.
//
// # Not waiting for it
//
// With Config.Queue calls leave their records to one goroutine of the interceptor,
// and never wait: records that have no room are dropped and counted
// ([Interceptor.Dropped]). The goroutine starts with the first record; call
// [Interceptor.Close] to end it when the servers have stopped. What has a LogValue
// method is asked for its value by the call. Other values are handed over as they
// are, and must not be changed after they were given to [AddFields].
//
// # Secrets, and lines that no one can forge
//
// The text of an error goes to the log in full, with what it wraps and the causes
// of rejections, which clients are not told. Neither metadata nor the contents of
// messages are logged unless Config says so, and then not those that are known to be
// secret; state only where its type says what is for the log; of panics nothing.
//
// Names and texts that callers have a hand in are cut, names after 256 bytes,
// error texts and state after 4096, and what commands terminals is taken out of
// them. slog's handlers escape the rest, so that no caller can write a line or an
// attribute of its own. What the program itself adds, with [AddFields] and
// [WithAttrs], is left to the handler.
package logging
