// Package transport defines the interfaces between the gateway and its transports: a server
// for clients and a client for the upstream. The gateway uses only these interfaces.
package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// Status is the status of a call, as in its trailer.
type Status struct {
	Code    codes.Code
	Message string
	// Details are the values of grpc-status-details-bin, not decoded. The protocol allows
	// at most one.
	Details []string
	// Raw has the two in the encoding of the upstream, if the transport keeps it.
	Raw RawStatus
}

// RawStatus has values as they were received.
type RawStatus struct {
	Message string   // grpc-message
	Details []string // grpc-status-details-bin
}

// Request has the request headers of a call. The context has the deadline.
type Request struct {
	Method     string // "/package.Service/Method"
	Metadata   metadata.MD
	Fields     []hpack.HeaderField // further metadata, as the client encoded it; see Inbound.Fields
	Subtype    string              // of the content type: "proto" of application/grpc+proto, or ""
	Compressor string              // grpc-encoding of the messages; "" is none
	Raw        RawRequest
}

// RawRequest has headers as the client sent them. A transport that forwards them sends them
// to the upstream. "" means that there is none.
type RawRequest struct {
	Authority        string
	ContentType      string
	UserAgent        string
	AcceptEncoding   string // grpc-accept-encoding
	PreviousAttempts string // grpc-previous-rpc-attempts
}

// RawResponse has headers as the upstream sent them. A transport that forwards them sends
// them to the client.
type RawResponse struct {
	ContentType    string
	Encoding       string // grpc-encoding
	AcceptEncoding string // grpc-accept-encoding
	// Header and Trailer are metadata that is sent in addition to that of SetHeader and
	// SetTrailer.
	Header, Trailer []hpack.HeaderField
}

// MaxMargin is the greatest Margin.
const MaxMargin = 10 * time.Millisecond

// Margin is by how much a server ends a call before its deadline, with a status: a tenth of the
// time that was left when the call arrived, and at most MaxMargin. A client ends the call at the
// deadline with a separate timer, and reports a reset that it reads before as CANCELLED.
func Margin(left time.Duration) time.Duration { return min(max(left, 0)/10, MaxMargin) }

// Handler serves one call and returns its status.
type Handler func(in Inbound) Status

// Server accepts the calls of clients.
type Server interface {
	// Serve calls the handler for each call on lis, on a separate goroutine. It returns
	// nil after Drain or Close.
	Serve(lis net.Listener) error
	// Drain rejects new calls and returns when the last call has ended.
	Drain()
	// Close closes all connections and returns when the last handler has returned.
	Close()
}

// Inbound is one call of a client. One goroutine may receive while another one sends. Recv
// may still run when the handler returns; it fails soon after.
type Inbound interface { //nolint:interfacebloat // all that a call has
	// Context has the metadata, the peer and the grpc.ServerTransportStream, as in grpc-go.
	// It is done at the end of the call, or early enough before the client's deadline that
	// a status arrives in time.
	Context() context.Context
	Request() Request // without metadata
	// Metadata returns the metadata of the request. The caller must not modify it.
	Metadata() metadata.MD
	// Fields returns all header fields of the request as the client encoded them, or nil if
	// the transport does not keep them or the metadata in ctx is not that of the request. The
	// caller may modify them.
	Fields(ctx context.Context) []hpack.HeaderField

	// Complete reports whether all requests have arrived and are so small that neither Recv
	// nor forwarding them blocks.
	Complete() bool
	// Recv returns io.EOF if the client has closed its side, and a status error if
	// receiving failed.
	Recv(msg *Message) error

	SetHeader(md metadata.MD) error
	SendHeader(md metadata.MD) error
	SetTrailer(md metadata.MD)
	// SetRaw sets the headers of the upstream. Call it before SendHeader and Send. Trailer may
	// be set until the handler returns.
	SetRaw(header RawResponse)
	// Encoding returns that of SetRaw, or "" if the transport compresses messages itself.
	Encoding() string
	// Send blocks while flow control stops the sender. If the rest of the message cannot be
	// received, it returns an error that wraps ErrSource.
	Send(msg *Message) error
}

// Notifier is an Inbound that reports when requests arrive.
type Notifier interface {
	// OnRequest calls start once when Recv has something to return: at once, or later on a
	// goroutine of the transport, which start must not block. It is not called if the call fails
	// first, and not after Close of the server.
	OnRequest(start func())
}

// Upstream calls the service behind the gateway.
type Upstream interface {
	// Open starts a call. The call is cancelled when ctx is done.
	Open(ctx context.Context, req Request) (Outbound, error)
	// Reach returns nil if there is a connection, or if one was lost and no attempt to make
	// another one has failed since. It begins an attempt, as a call does. It does not wait.
	Reach() error
	Close() error
}

// ErrNotConnected is the error of Reach before the first connection.
var ErrNotConnected = errors.New("the upstream is not connected yet")

// Outbound is one call to the upstream. One goroutine may receive while another one sends.
type Outbound interface {
	// Send blocks while flow control stops the sender. It returns io.EOF if the call has
	// ended. If the rest of the message cannot be received, it returns an error that wraps
	// ErrSource.
	Send(msg *Message) error
	CloseSend() error

	// Header waits for the response header. It returns nil if the call ended without one.
	// The caller may modify the result.
	Header() metadata.MD
	// Raw returns the headers of the upstream. Call it after Header, or instead of it. Then
	// Header has the metadata as the upstream encoded it, and after Recv has returned
	// io.EOF so has Trailer, if the transport keeps it. The caller may modify them.
	Raw() RawResponse
	// Recv returns io.EOF when the call has ended, with any status.
	Recv(msg *Message) error
	// Pass returns a function that sends all messages that have arrived to the client, and
	// returns their number, or nil if they can only be passed on one by one. Call it after
	// Header or Raw.
	Pass(to Inbound) (pass func() (messages int, err error))
	// End returns the status and the trailer, which the caller may modify. Call it only
	// after Recv has returned io.EOF.
	End() (Status, metadata.MD)
	// Status is End without the trailer, for callers that use that of Raw.
	Status() Status
	// Close cancels the call unless it has ended, and releases what it holds.
	Close()
}
