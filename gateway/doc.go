// Package gateway runs a chain in front of any gRPC service. It is a sidecar proxy that
// runs in a Go process, or as the command "hauberk run".
//
//	g, err := gateway.New(gateway.Config{Upstream: "127.0.0.1:50051", Chain: chain})
//	…
//	err = g.Serve(lis)
//
// The gateway forwards the calls of all methods to the upstream. By default it does not know
// the types of messages and does not decode them. The upstream reports all errors about
// methods and messages: unknown methods, malformed messages, a wrong number of messages.
//
// # Messages
//
// With [Config.Messages] interceptors receive decoded messages of chosen methods, as messages of
// package dynamicpb. Such a call differs from others as follows:
//
//   - It has the kind of its method, not Bidi, so that interceptors for one kind run.
//   - A message is received completely, decompressed (gzip, or a compressor that the program has
//     registered with grpc-go) and decoded. It is forwarded as the bytes that arrived, unless an
//     interceptor has changed it. Then it is encoded again, without compression.
//   - grpc-accept-encoding is forwarded without the compressions that the gateway does not have.
//   - [Config.MaxMessageSize] holds after decompression, too.
//   - A message that cannot be decoded or decompressed ends the call with INTERNAL, and a request of
//     another compression with UNIMPLEMENTED, as in grpc-go. A content type other than
//     application/grpc and application/grpc+proto ends it with UNIMPLEMENTED and
//     [ReasonSubtype].
//   - It takes the time to decode each message, and memory for a multiple of its size.
//
// # Requirements
//
// The upstream must accept gRPC over HTTP/2. Without [Config.TLS] and [Connections.TLS], calls
// are in plain text: use loopback addresses, unix sockets or a trusted network.
//
// # Connections to the upstream
//
// The gateway connects to the upstream at the first call. [Connections] has the settings:
//
//   - Of several addresses, the first one that can be connected to is used, or all in turn. A
//     name is resolved again after a connection was lost or an attempt failed, but not within
//     30 s.
//   - The delay between attempts is at most half a second by default. Without a connection,
//     calls fail with UNAVAILABLE, or wait for a limited time.
//   - TCP detects within 30 s that the upstream's machine is gone. PING detects an upstream
//     that does not react. It is off by default, since servers may reject clients that ping.
//   - Health checks, and the ejection of addresses with errors, are off by default.
//   - When the upstream's limit of streams is reached, further calls use another connection to
//     the same address, up to 16. If these are full, calls wait for the first stream of any of them,
//     in the order in which they have arrived.
//   - A call that the upstream has not processed (REFUSED_STREAM, or GOAWAY with a lower id) is
//     sent once more, if its requests so far have at most 16 KiB.
//
// # What is forwarded
//
// The gateway forwards frames of HTTP/2. The following is forwarded without a change:
//
//   - messages, with their compression, by any compressor; flow control applies end to end;
//   - metadata in both directions, including duplicate keys and binary values, as it was
//     encoded unless a chain, [Config.Strip], [Config.ForwardAddress] or [Config.Forward] changes it;
//   - :authority, user-agent, content-type, grpc-accept-encoding and grpc-previous-rpc-attempts.
//     If :authority is empty, the upstream receives that of its target;
//   - the response header, as soon as the upstream sends it;
//   - half-close, cancellation and deadline;
//   - the status: code, message, details and trailer, with grpc-message and
//     grpc-status-details-bin byte for byte. If the chain changes the status, its details replace
//     those of the upstream.
//
// While neither chain has an interceptor, no messages are decoded ([Config.Messages]), and neither Forward,
// ForwardAddress nor FirstByteTimeout is set, calls have no goroutine: those of the two connections forward
// their frames. This costs about half as much CPU time, and a tenth of the memory of an idle stream.
//
// A connection holds at most 1 MiB of data that the other side has not taken. A message of more
// than 4 KiB is received while it is sent, unless a hook looks at it. If such a response ends
// within a message, the client's stream is reset. Calls whose data is not taken do not stop other
// calls of their connection.
//
// # Differences from a direct call
//
//   - Metadata of the protocol and of one connection is not forwarded: keys that begin with
//     ":" or "grpc-", te, host, connection and other keys of a connection. Exceptions are those
//     above, grpc-trace-bin and grpc-tags-bin in requests, and grpc-retry-pushback-ms and
//     grpc-server-stats-bin in responses.
//   - Values that gRPC does not allow are removed: in keys without the suffix "-bin", all
//     values that are not printable ASCII.
//   - A call ends before its deadline, by a tenth of its time but at most 10 ms, so that the
//     client receives DEADLINE_EXCEEDED before its own timer fires.
//   - The gateway's limits apply in addition to those of the client and the upstream.
//
// # Limits
//
//   - A message has at most [Config.MaxMessageSize] bytes as it is sent, by default
//     [DefaultMaxMessageSize]. A larger message ends the call with RESOURCE_EXHAUSTED.
//   - A header list of a client has at most [Config.MaxHeaderListSize] bytes as HTTP/2 counts
//     them, and one of the upstream [Config.MaxUpstreamHeaderListSize]. A larger one ends one
//     call with RESOURCE_EXHAUSTED. Of a status above the limit the client receives the code and
//     the beginning of the message. The connection ends only for lists of more than four times
//     the limit, and more than 1 MiB from a client and 16 MiB from the upstream.
//   - A client's connection has at most [Config.MaxConcurrentStreams] concurrent calls. Further
//     calls wait in the client. There are at most [Config.MaxConnections].
//   - A new connection must complete its HTTP/2 handshake within [Config.HandshakeTimeout], and
//     earlier if more than [Config.MaxHandshakes] do not. A connection without activity is pinged
//     after 60 s, and closed if the ping is not answered within 20 s. A client may ping every
//     [Config.MinPingInterval].
//   - Floods of SETTINGS, PING, RST_STREAM and frames without effect end a connection with
//     ENHANCE_YOUR_CALM: see [Config.MaxSettingsRate].
//   - Frames, header blocks and messages that have begun must be complete in time, and so must
//     the response header if [Config.FirstByteTimeout] is set.
//   - Connections end with GOAWAY after [Config.MaxConnectionIdle] without calls, and, if it is
//     set, after [Config.MaxConnectionAge].
//   - If [Config.MaxMemory] is set, new calls are rejected before it is reached.
//
// [Gateway.Measurements] reports how often each limit was met, and [WithLogger] logs it at most
// once a minute for each limit.
//
// # Chains
//
// [Config.Chain] or [Config.Live] runs around the calls of clients, and [Config.Client] or
// [Config.ClientLive] around the calls to the upstream. Retries of the client's chain repeat the
// calls of methods that their Config names, if MaxReplayBytes is set, since all calls have the
// kind Bidi. Packages idempotency, cache and coalesce, which are for unary calls, and package hedge
// leave all calls alone.
//
// # TLS
//
// [Config.TLS] is the TLS of Serve. Serve also accepts listeners of package crypto/tls with ALPN
// h2.
//
// # What interceptors see
//
// All calls have the kind [hauberk.Bidi], because the kind of a method is unknown. Hooks
// receive messages as [*Message]. Compressed messages are received as they are, and
// [Message.Compressed] reports it. An interceptor may reply with a protobuf message or a
// *Message. [hauberk.Method.Known] is true for [Config.Methods]. For others it is false until
// the upstream has answered a call of the method with a message, with OK, or with a code that
// only services make, such as NOT_FOUND. It becomes true for methods that the service has, and
// stays false for names that callers make up. The gateway remembers the first 1000 methods.
//
// # The transport of grpc-go
//
// With [TransportGRPC] in [Config.Transport] the gateway forwards the calls with grpc-go, as it
// did by default before [TransportFrames] was complete. It differs as follows:
//
//   - Each connection has its own compression. The gateway decompresses each request and
//     compresses it again with the same compressor. A response to the client is compressed
//     if the request was, with the request's compressor. Only gzip is supported; a request
//     with another compressor ends with UNIMPLEMENTED. Hooks receive messages decompressed, and
//     MaxMessageSize is their size after decompression.
//   - The upstream receives the gateway's user-agent and grpc-accept-encoding, and its own
//     address as the authority. content-type and grpc-previous-rpc-attempts are not forwarded.
//     grpc-message and metadata are encoded again; grpc-status-details-bin stays the same.
//   - A message is received completely before it is sent. The memory for calls whose data is not
//     taken is limited by MaxConcurrentStreams and MaxMessageSize, not for a connection. The
//     default of MaxConcurrentStreams is therefore 100.
//   - A header list of a client above its limit ends the connection.
//   - MaxHandshakes, MaxSettingsRate, MaxResetRate, MaxEmptyFrameRate, FrameTimeout, MessageTimeout,
//     FirstByteTimeout and [Connections.EjectAfter] are errors of [New], and
//     [Connections.HealthCheck] needs [RoundRobin].
//   - When the upstream's limit of streams is reached, calls wait.
//   - Targets may have any scheme that is registered with package resolver of grpc-go.
//   - Measurements do not count the limits that grpc-go enforces.
package gateway
