// Package transport defines the interfaces between the gateway and its transports: a server
// for clients and a client for the upstream. The gateway uses only these interfaces.
package transport

import (
	"context"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// Message is one message as its sender encoded it, without length prefix and compression.
// Its buffers have reference counts. The caller of Recv owns the buffers until it calls
// [Message.Free]. Send does not take ownership.
type Message struct {
	Data mem.BufferSlice
}

// Len returns the size of the message in bytes. Metrics and logs use it.
func (m *Message) Len() int { return m.Data.Len() }

// Free releases the buffers. The message is then empty and can be reused.
func (m *Message) Free() {
	m.Data.Free()
	m.Data = nil
}

// Status is the status of a call, as in its trailer.
type Status struct {
	Code    codes.Code
	Message string
	// Details are the values of grpc-status-details-bin, not decoded. The protocol allows
	// at most one.
	Details []string
}

// Request has the request headers of a call. The context has the deadline.
type Request struct {
	Method     string // "/package.Service/Method"
	Metadata   metadata.MD
	Subtype    string // of the content type: "proto" of application/grpc+proto, or ""
	Compressor string // grpc-encoding of the messages; "" is none
}

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
type Inbound interface {
	// Context has the metadata, the peer and the grpc.ServerTransportStream, as in grpc-go.
	// It is done at the end of the call, or early enough before the client's deadline that
	// a status arrives in time.
	Context() context.Context
	Request() Request // without metadata

	// Recv returns io.EOF if the client has closed its side, and a status error if
	// receiving failed.
	Recv(msg *Message) error

	SetHeader(md metadata.MD) error
	SendHeader(md metadata.MD) error
	SetTrailer(md metadata.MD)
	// Send blocks while flow control stops the sender.
	Send(msg *Message) error
}

// Upstream calls the service behind the gateway.
type Upstream interface {
	// Open starts a call. The call is cancelled when ctx is done.
	Open(ctx context.Context, req Request) (Outbound, error)
	Close() error
}

// Outbound is one call to the upstream. One goroutine may receive while another one sends.
type Outbound interface {
	// Send blocks while flow control stops the sender. It returns io.EOF if the call has
	// ended.
	Send(msg *Message) error
	CloseSend() error

	// Header waits for the response header. It returns nil if the call ended without one.
	// The caller may modify the result.
	Header() metadata.MD
	// Recv returns io.EOF when the call has ended, with any status.
	Recv(msg *Message) error
	// End returns the status and the trailer, which the caller may modify. Call it only
	// after Recv has returned io.EOF.
	End() (Status, metadata.MD)
}
