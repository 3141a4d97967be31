package greeter

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
)

// Kinds returns the four kinds of methods. The greeter has one method of each.
func Kinds() []hauberk.Kind {
	return []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
}

// Call makes a call of a kind with a request for each name, or for the first one if the
// method has a single request. It returns the texts of the replies when the call has ended.
func Call(
	ctx context.Context, client greeterpb.GreeterClient, kind hauberk.Kind, names ...string,
) ([]string, error) {
	first := &greeterpb.HelloRequest{Name: names[0]}
	switch kind {
	case hauberk.ClientStream:
		stream, err := client.GreetAll(ctx)
		if err != nil {
			return nil, err
		}
		send(stream.Send, names)
		return one(stream.CloseAndRecv())
	case hauberk.ServerStream:
		stream, err := client.GreetOften(ctx, first)
		if err != nil {
			return nil, err
		}
		return Read(stream)
	case hauberk.Bidi:
		stream, err := client.Chat(ctx)
		if err != nil {
			return nil, err
		}
		send(stream.Send, names)
		if err := stream.CloseSend(); err != nil {
			return nil, err
		}
		return Read(stream)
	default:
		return one(client.Greet(ctx, first))
	}
}

// send stops if the call has ended. Receiving returns its status.
func send(one func(*greeterpb.HelloRequest) error, names []string) {
	for _, name := range names {
		if one(&greeterpb.HelloRequest{Name: name}) != nil {
			return
		}
	}
}

func one(reply *greeterpb.HelloReply, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return []string{reply.GetText()}, nil
}

// Read reads a stream to its end and returns the texts of its replies.
func Read(stream grpc.ServerStreamingClient[greeterpb.HelloReply]) (texts []string, err error) {
	for {
		reply, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return texts, err
		}
		texts = append(texts, reply.GetText())
	}
}
