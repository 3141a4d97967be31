// Package transport is what the gateway asks of the code that moves calls: a
// server for the clients' side and a client for the upstream's. Nothing above it
// knows which implementation runs.
package transport

import (
	"context"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// Message is one message as its sender encoded it, without length prefix and
// compression. Its buffers are counted: what a Recv fills in belongs to the
// caller until [Message.Free], and a Send leaves that as it is.
type Message struct {
	Data mem.BufferSlice
}

// Len returns the size of the message in bytes, for those who count or log it.
func (m *Message) Len() int { return m.Data.Len() }

// Free gives the buffers back. The message is empty then, and can be used again.
func (m *Message) Free() {
	m.Data.Free()
	m.Data = nil
}

// Status is how a call ended, as it stands in the trailer.
type Status struct {
	Code    codes.Code
	Message string
	// Details are the values of grpc-status-details-bin, unread. There is at most
	// one where both ends keep to the protocol.
	Details []string
}

// Request is what the head of a call says, besides its deadline, which is that
// of the context.
type Request struct {
	Method     string // "/package.Service/Method"
	Metadata   metadata.MD
	Subtype    string // of the content type: "proto" of application/grpc+proto, or ""
	Compressor string // grpc-encoding of the messages; "" is none
}

// Handler serves one call and returns how it ended.
type Handler func(in Inbound) Status

// Server takes the clients' calls.
type Server interface {
	// Serve hands the calls that arrive at lis to the handler, each on a goroutine
	// of its own, until Drain or Close; then it returns nil.
	Serve(lis net.Listener) error
	// Drain turns new calls away and returns when the last one has ended.
	Drain()
	// Close cuts all connections and returns when the last handler has returned.
	Close()
}

// Inbound is one call of a client. One goroutine may receive while another
// sends; Recv may still run when the handler returns, and fails soon after.
type Inbound interface {
	// Context has the metadata, the peer and the grpc.ServerTransportStream where
	// grpc-go keeps them. It is done when the call is over, and as much ahead of
	// the client's deadline as a status needs to arrive in time.
	Context() context.Context
	Request() Request // without metadata

	// Recv returns io.EOF once the client has closed its side, and the status of
	// what went wrong otherwise.
	Recv(msg *Message) error

	SetHeader(md metadata.MD) error
	SendHeader(md metadata.MD) error
	SetTrailer(md metadata.MD)
	// Send blocks while the client does not want more.
	Send(msg *Message) error
}

// Upstream makes calls to the service behind the gateway.
type Upstream interface {
	// Open begins a call, which ends with ctx at the latest.
	Open(ctx context.Context, req Request) (Outbound, error)
	Close() error
}

// Outbound is one call to the upstream. One goroutine may receive while another
// sends.
type Outbound interface {
	// Send blocks while the upstream does not want more, and returns io.EOF once
	// the call has ended.
	Send(msg *Message) error
	CloseSend() error

	// Header blocks until the response header is there. It is nil if the call ended
	// without one. The caller may change it.
	Header() metadata.MD
	// Recv returns io.EOF when the call has ended, however it did.
	Recv(msg *Message) error
	// End returns how the call ended, and its trailer, which the caller may change.
	// It is for use after Recv has returned io.EOF.
	End() (Status, metadata.MD)
}
