package stage

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Kinds are the four kinds of method, of each of which the test service has one.
func Kinds() []hauberk.Kind {
	return []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
}

// Call makes a call of a kind with requests of these texts, the first of them where
// a method takes one, and returns the texts of the responses when it has ended.
func Call(
	ctx context.Context, client testpb.TestServiceClient, kind hauberk.Kind, texts ...string,
) ([]string, error) {
	first := &testpb.Request{Text: texts[0]}
	switch kind {
	case hauberk.ClientStream:
		stream, err := client.ClientStream(ctx)
		if err != nil {
			return nil, err
		}
		send(stream.Send, texts)
		return one(stream.CloseAndRecv())
	case hauberk.ServerStream:
		stream, err := client.ServerStream(ctx, first)
		if err != nil {
			return nil, err
		}
		return Read(stream)
	case hauberk.Bidi:
		stream, err := client.Bidi(ctx)
		if err != nil {
			return nil, err
		}
		send(stream.Send, texts)
		if err := stream.CloseSend(); err != nil {
			return nil, err
		}
		return Read(stream)
	default:
		return one(client.Unary(ctx, first))
	}
}

// send stops early where the call has ended: its status comes out of receiving.
func send(one func(*testpb.Request) error, texts []string) {
	for _, text := range texts {
		if one(&testpb.Request{Text: text}) != nil {
			return
		}
	}
}

func one(resp *testpb.Response, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return []string{resp.GetText()}, nil
}

// Read reads a stream to its end and returns the texts of what came.
func Read(stream grpc.ServerStreamingClient[testpb.Response]) (texts []string, err error) {
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return texts, err
		}
		texts = append(texts, resp.GetText())
	}
}
