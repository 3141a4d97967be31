package greeter

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
)

// Service is a greeter with one handler for its four methods.
type Service struct {
	greeterpb.UnimplementedGreeterServer

	// Handle serves every call. nil means Hello.
	Handle func(ctx context.Context, s Stream) error
}

// Stream is a call of any kind in a handler.
type Stream interface {
	// Method returns the name of the method, such as "Greet".
	Method() string
	// Recv returns the next request, and io.EOF after the last.
	Recv() (*greeterpb.HelloRequest, error)
	// Send sends a reply. Greet and GreetAll have one.
	Send(reply *greeterpb.HelloReply) error
}

// Hello is a handler that greets each person. GreetAll greets all of them with one reply.
func Hello(_ context.Context, s Stream) error {
	var names []string
	for {
		req, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF) && s.Method() == "GreetAll":
			return s.Send(&greeterpb.HelloReply{Text: "Hello, " + strings.Join(names, " and ")})
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case s.Method() == "GreetAll":
			names = append(names, req.GetName())
			continue
		}
		for i := range max(1, req.GetCount()) {
			if err := s.Send(&greeterpb.HelloReply{Text: "Hello, " + req.GetName(), Index: i}); err != nil {
				return err
			}
		}
	}
}

func (x *Service) handle(ctx context.Context, s Stream) error {
	if x.Handle == nil {
		return Hello(ctx, s)
	}
	return x.Handle(ctx, s)
}

// Greet serves the unary method.
func (x *Service) Greet(ctx context.Context, req *greeterpb.HelloRequest) (*greeterpb.HelloReply, error) {
	s := &call{method: "Greet", requests: []*greeterpb.HelloRequest{req}}
	s.send = func(reply *greeterpb.HelloReply) error {
		s.reply = reply
		return nil
	}
	if err := x.handle(ctx, s); err != nil {
		return nil, err
	}
	return s.reply, nil
}

// GreetOften serves the server-streaming method.
func (x *Service) GreetOften(
	req *greeterpb.HelloRequest, stream grpc.ServerStreamingServer[greeterpb.HelloReply],
) error {
	return x.handle(stream.Context(),
		&call{method: "GreetOften", requests: []*greeterpb.HelloRequest{req}, send: stream.Send})
}

// GreetAll serves the client-streaming method.
func (x *Service) GreetAll(
	stream grpc.ClientStreamingServer[greeterpb.HelloRequest, greeterpb.HelloReply],
) error {
	return x.handle(stream.Context(), &call{method: "GreetAll", recv: stream.Recv, send: stream.SendAndClose})
}

// Chat serves the bidirectional method.
func (x *Service) Chat(stream grpc.BidiStreamingServer[greeterpb.HelloRequest, greeterpb.HelloReply]) error {
	return x.handle(stream.Context(), &call{method: "Chat", recv: stream.Recv, send: stream.Send})
}

// call is a Stream. Without recv its requests are those of a slice.
type call struct {
	method   string
	requests []*greeterpb.HelloRequest
	reply    *greeterpb.HelloReply // of Greet
	recv     func() (*greeterpb.HelloRequest, error)
	send     func(*greeterpb.HelloReply) error
}

func (c *call) Method() string { return c.method }

func (c *call) Recv() (*greeterpb.HelloRequest, error) {
	if c.recv != nil {
		return c.recv()
	}
	if len(c.requests) == 0 {
		return nil, io.EOF
	}
	req := c.requests[0]
	c.requests = c.requests[1:]
	return req, nil
}

func (c *call) Send(reply *greeterpb.HelloReply) error { return c.send(reply) }
