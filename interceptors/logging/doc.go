// Package logging writes a record of every call to a [log/slog.Logger], when the
// call has ended, whatever way it did; by choice another when it starts.
//
// The record's message is "call ended", its time that of the end, its level that
// of the call's code. Its attributes, in this order, where they apply:
//
//	side           "server" or "client"
//	service        "shop.v1.Cart"
//	method         "Get"
//	kind           "unary", "client_stream", "server_stream" or "bidi_stream"
//	code           "OK", "NotFound", …: the code's name in grpc-go
//	error          the error's text, with the texts of its causes; on a client
//	               with Config.ClientErrors
//	reason         that of a refusal, in UPPER_SNAKE_CASE
//	peer           the other end's address; on a client with Config.ClientPeer
//	duration       a time.Duration: slog's JSON handler writes nanoseconds
//	sent           messages sent by this side, on a client by the last attempt
//	received       messages received by this side, likewise
//	deadline_left  a time.Duration: how far off the deadline was at the start
//	…              the state that State names, such as request_id
//	decisions      what deciding links said, enforced or in shadow
//	…              what AddFields added
//	fields_dropped how many were too many for it
//
// The text of an error goes to the log in full, with what it wraps and the causes
// of refusals, which clients are not told. Metadata and messages are not logged.
// Names and texts that callers have a hand in are cut, names after 256 bytes,
// error texts after 4096; slog's handlers escape them, so that no caller can write
// a line or an attribute of its own.
//
// The interceptor stands outside of what it is to tell of: a call that a link
// further out refuses leaves no record. On a client it sees calls when it stands
// outside retries, and attempts when it stands inside.
package logging
