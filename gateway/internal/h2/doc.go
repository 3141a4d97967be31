// Package h2 is one end of an HTTP/2 connection (RFC 9113), as a proxy of gRPC uses it. The
// same engine serves clients ([NewServer]) and calls an upstream ([NewClient]).
//
// # Goroutines
//
// A connection has two goroutines:
//
//   - the reader runs [Conn.Serve]. It parses frames, changes the state, and never writes
//     to the network. It never waits for a stream, and for the writer only if
//     1,000 replies wait, and at most a second. It wakes the goroutines
//     that frames are for, and calls the functions of [Events], when it has handled all frames that
//     one read has returned.
//   - the writer encodes what is queued into one buffer, and writes the buffer with one
//     system call. It is the only one that uses the HPACK encoder.
//
// The methods of [Stream] run on the goroutines of the caller: at most one receives while
// at most one other sends. Timers run [Conn.keepalive].
//
// A stream with [Events] needs no goroutine: see [Stream.Direct]. Its caller takes what has arrived
// with [Stream.Receive] and sends with [Stream.Pass], neither of which waits. Events run on the reader,
// on the writer ([Events.Sent]), or on the goroutine that ends the stream. [Corks] let a reader wake
// the writers of other connections once for all its events.
//
// # Locks
//
// Conn.mu guards the state of the connection and of all its streams, except for what only
// the reader or only the writer uses. No one holds it during a system call, or while a
// callback runs. Waiting is done on channels of one element, one for each direction of a
// stream.
//
// # States
//
// A connection:
//
//	open ──Drain, GOAWAY received──> draining ──last stream ends──> closed
//	  └──────error, Close, lost connection────────────────────────────^
//
// A draining connection accepts (server) or opens (client) no streams. Drain sends GOAWAY
// with the highest id and a PING. When the PING is acknowledged, it sends GOAWAY with the
// last accepted id, so that no stream that is on its way is lost.
//
// A stream has two independent directions, and an error:
//
//	sending:   open ──END_STREAM queued──> ending ──written──> closed
//	receiving: open ──END_STREAM received──> closed
//	err:       nil ──RST_STREAM, Reset, connection closed──> set, for good
//
// A stream is removed from the connection when both directions are closed or err is set.
// What was received before the peer reset it can still be read; what was received before
// this side reset it cannot.
//
// # Receiving
//
// Received data is held in the stream until the caller has passed it on and calls
// [Stream.Credit]. Only then does the peer get credit to send as much again. So the
// connection never holds more than [Config.Window] bytes. One stream may hold at most its
// own window. When much data is held, the windows of streams become smaller, and a part of
// the connection's window is kept for that moment, so that streams whose data is not taken
// cannot stop others: see windows.
//
// # Sending
//
// Queues are bounded. A stream has at most one write that waits. Writes return at once only
// if flow control permits them and less than 64 KiB are queued on the connection. Replies to
// the peer's frames (acknowledgements, resets) are counted, and a peer that does not read
// them loses the connection. A server's stream counts as concurrent until its end was
// encoded. A stream without credit waits by itself; streams with data take turns, one frame
// each.
//
// # What a peer can do wrong
//
// Errors of a stream reset it. Errors of the connection end it with GOAWAY. Limits that a
// peer exceeds end it with ENHANCE_YOUR_CALM: see [Config] and floods.
package h2
