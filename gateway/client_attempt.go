package gateway

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// attempt is one call of the upstream, inside the chain for the client.
type attempt struct {
	ctx        context.Context //nolint:containedctx // Context returns it
	cancel     context.CancelFunc
	out        transport.Outbound
	chained    *chained
	single     bool   // the method has one response
	size       int    // the largest of a message
	compressor string // of requests
	begun      sync.Once
	header     metadata.MD // set by begun
	trailer    metadata.MD // after the end
}

func (a *attempt) Context() context.Context { return a.ctx }
func (a *attempt) CloseSend() error         { return a.out.CloseSend() }
func (a *attempt) Trailer() metadata.MD     { return a.trailer }

// Header returns the response header, or nil if the upstream has sent none.
func (a *attempt) Header() (metadata.MD, error) {
	a.begin()
	if a.header == nil {
		return nil, nil //nolint:nilnil // as grpc-go for a response without a header
	}
	return a.header.Copy(), nil
}

// begin waits for the response header. The chain may call Header concurrently with RecvMsg, which the transport does
// not allow.
func (a *attempt) begin() {
	a.begun.Do(func() {
		a.header = a.out.Header()
		a.chained.set(a.out.Raw(), nil)
	})
}

// SendMsg sends a message of the client, or one that an interceptor has made.
func (a *attempt) SendMsg(msg any) error {
	m, err := encoded(msg, "message", a.compressor)
	if err != nil {
		return err
	}
	return a.out.Send(m)
}

// RecvMsg receives a message of the upstream, or its status.
func (a *attempt) RecvMsg(msg any) error {
	if m, ok := msg.(*Message); ok {
		return a.receive(m)
	}
	var m Message
	if err := a.receiveOne(&m); err != nil {
		return err // the status has no type
	}
	err := a.decode(&m, msg)
	if err != nil {
		a.close()
	}
	return err
}

func (a *attempt) decode(m *Message, to any) error {
	encoding := a.out.Raw().Encoding
	switch to := to.(type) {
	case *decoded:
		return to.decode(m, encoding, a.size, responses)
	case proto.Message:
		from, err := unpack(m, encoding, a.size, responses)
		if err != nil {
			return err
		}
		return unmarshal(from.data, to, responses)
	default:
		m.Free()
		return status.Errorf(codes.Internal, "gateway: an interceptor receives into a %T; want a *gateway.Message", to)
	}
}

// receiveOne receives a message. If the method has one response, it receives the status, too, as grpc-go does.
func (a *attempt) receiveOne(m *Message) error {
	err := a.receive(m)
	if !a.single {
		return err
	}
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Internal, "gateway: the upstream sent no response for a method that has one")
	}
	if err != nil {
		return err
	}
	if err := m.Load(); err != nil {
		return err
	}
	var more Message
	switch err := a.receive(&more); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		m.Free()
		return err
	default:
		m.Free()
		more.Free()
		a.close()
		return status.Error(codes.Internal, "gateway: the upstream sent several responses for a method that has one")
	}
}

func (a *attempt) close() {
	a.out.Close()
	a.cancel()
}

func (a *attempt) receive(m *Message) error {
	a.begin()
	err := a.out.Recv(m)
	if !errors.Is(err, io.EOF) {
		return err
	}
	end, trailer := a.out.End()
	a.trailer = trailer
	a.chained.set(a.out.Raw(), &end)
	a.close()
	if err := errorOf(end); err != nil {
		return err
	}
	return io.EOF
}
