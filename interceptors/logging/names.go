package logging

import (
	"log/slog"

	"github.com/hauberk-rpc/hauberk/internal/lognames"
)

// The default names of the attributes: those of OpenTelemetry's semantic conventions
// where these have one, and otherwise names in their style. The package
// documentation says what each attribute holds.
const (
	KeySystem                  = "rpc.system.name"
	KeySide                    = "rpc.side"
	KeyService                 = "rpc.service"
	KeyMethod                  = "rpc.method"
	KeyKind                    = "rpc.kind"
	KeyStatusCode              = "rpc.response.status_code"
	KeyError                   = "error.message"
	KeyReason                  = "hauberk.rejection.reason"
	KeyPeerAddress             = "network.peer.address"
	KeyPeerPort                = "network.peer.port"
	KeyClientAddress           = "client.address"
	KeyDuration                = "rpc.duration"
	KeySent                    = "rpc.sent"
	KeyReceived                = "rpc.received"
	KeySentBytes               = "rpc.sent_bytes"
	KeySentCompressedBytes     = "rpc.sent_compressed_bytes"
	KeyReceivedBytes           = "rpc.received_bytes"
	KeyReceivedCompressedBytes = "rpc.received_compressed_bytes"
	KeyDeadlineLeft            = "rpc.deadline_left"
	KeyRequestMetadata         = "rpc.request.metadata"
	KeyResponseHeader          = "rpc.response.metadata"
	KeyResponseTrailer         = "rpc.response.trailer"
	KeyIdentity                = "hauberk.identity"
	KeyDecisions               = "hauberk.decisions"
	KeyDecisionsDropped        = "hauberk.decisions_dropped"
	KeyFieldsDropped           = "hauberk.fields_dropped"
	KeySampledOut              = "hauberk.sampled_out"
	KeyDirection               = "rpc.message.direction"
	KeySequence                = "rpc.message.id"
	KeyType                    = "rpc.message.full_name"
	KeySize                    = "rpc.message.uncompressed_size"
	KeyPayload                 = "rpc.message.payload"
)

// Names are the names of the attributes of the interceptor's records. An empty field
// has the name of [OpenTelemetryNames]; the name "-" leaves the attribute out. Two
// attributes must not have the same name.
type Names struct {
	// System is that of the constant "grpc".
	System string
	// Side, Service and Kind describe the call. Method is the fully-qualified method,
	// "shop.v1.Cart/Get", and ShortMethod its last part, "Get".
	Side, Service, Method, ShortMethod, Kind string
	// StatusCode is the code as gRPC spells it, "NOT_FOUND", and Code as grpc-go does,
	// "NotFound".
	StatusCode, Code string
	// Error is the text of the error, and Reason the reason of a rejection.
	Error, Reason string
	// PeerAddress and PeerPort are the other end of the connection, and Peer both of
	// them in one text. ClientAddress is where the call comes from, if that is not the
	// peer.
	PeerAddress, PeerPort, Peer, ClientAddress string
	// Duration is how long the call lasted, and DeadlineLeft how much time it had.
	Duration, DeadlineLeft string
	// Sent and Received count the messages of this side. SentBytes and ReceivedBytes count
	// their bytes, SentCompressedBytes and ReceivedCompressedBytes those after compression.
	Sent, Received, SentBytes, SentCompressedBytes, ReceivedBytes, ReceivedCompressedBytes string
	// RequestMetadata, ResponseHeader and ResponseTrailer are groups.
	RequestMetadata, ResponseHeader, ResponseTrailer string
	// Identity is the caller of a server's call, a group.
	Identity string
	// Decisions are the verdicts of interceptors. DecisionsDropped and FieldsDropped count
	// the verdicts and the fields of [AddFields] that the record does not hold. SampledOut
	// counts the calls that were left out since the last record.
	Decisions, DecisionsDropped, FieldsDropped, SampledOut string
	// Direction, Sequence, Type, Size and Payload describe a message.
	Direction, Sequence, Type, Size, Payload string
}

// OpenTelemetryNames returns the default names. They leave out ShortMethod, Code and
// Peer: spans and metrics have the same data under Method, StatusCode, PeerAddress and
// PeerPort.
func OpenTelemetryNames() Names {
	return Names{
		System: KeySystem, Side: KeySide, Service: KeyService, Method: KeyMethod, ShortMethod: lognames.Out,
		Kind: KeyKind, StatusCode: KeyStatusCode, Code: lognames.Out, Error: KeyError, Reason: KeyReason,
		PeerAddress: KeyPeerAddress, PeerPort: KeyPeerPort, Peer: lognames.Out, ClientAddress: KeyClientAddress,
		Duration: KeyDuration, DeadlineLeft: KeyDeadlineLeft, Sent: KeySent, Received: KeyReceived,
		SentBytes: KeySentBytes, SentCompressedBytes: KeySentCompressedBytes,
		ReceivedBytes: KeyReceivedBytes, ReceivedCompressedBytes: KeyReceivedCompressedBytes,
		RequestMetadata: KeyRequestMetadata, ResponseHeader: KeyResponseHeader, ResponseTrailer: KeyResponseTrailer,
		Identity: KeyIdentity, Decisions: KeyDecisions, DecisionsDropped: KeyDecisionsDropped,
		FieldsDropped: KeyFieldsDropped, SampledOut: KeySampledOut,
		Direction: KeyDirection, Sequence: KeySequence, Type: KeyType, Size: KeySize, Payload: KeyPayload,
	}
}

// MiddlewareNames returns the names of go-grpc-middleware's package logging, for
// queries and dashboards that exist already. What it does not log has a name in the
// same style.
func MiddlewareNames() Names {
	return Names{
		System: "protocol", Side: "grpc.component", Service: "grpc.service", Method: lognames.Out,
		ShortMethod: "grpc.method", Kind: "grpc.method_type", StatusCode: lognames.Out, Code: "grpc.code",
		Error: "grpc.error", Reason: "grpc.reason", PeerAddress: lognames.Out, PeerPort: lognames.Out,
		Peer: "peer.address", ClientAddress: KeyClientAddress,
		Duration: "grpc.duration", DeadlineLeft: "grpc.deadline_left", Sent: "grpc.sent", Received: "grpc.received",
		SentBytes: "grpc.sent_bytes", SentCompressedBytes: "grpc.sent_compressed_bytes",
		ReceivedBytes: "grpc.received_bytes", ReceivedCompressedBytes: "grpc.received_compressed_bytes",
		RequestMetadata: "grpc.request.metadata", ResponseHeader: "grpc.response.metadata",
		ResponseTrailer: "grpc.response.trailer",
		Identity:        "grpc.identity", Decisions: "grpc.decisions", DecisionsDropped: "grpc.decisions_dropped",
		FieldsDropped: "grpc.fields_dropped", SampledOut: "grpc.sampled_out",
		Direction: "grpc.message.direction", Sequence: "grpc.message.id", Type: "grpc.message.type",
		Size: "grpc.message.size", Payload: "grpc.message.content",
	}
}

// fillNames completes the names and reports those that occur twice.
func (x *Interceptor) fillNames() {
	lognames.Fill(&x.names, OpenTelemetryNames())
	for _, field := range lognames.Twice(x.names) {
		x.failf("Config.Names.%s is the name of another attribute as well; want a different name, or \"-\"", field)
	}
}

// with appends an attribute, if it has a name.
func with(list []slog.Attr, name string, value slog.Value) []slog.Attr {
	if name == "" {
		return list
	}
	return append(list, slog.Attr{Key: name, Value: value})
}
