package demo

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
)

// patience is how long shoppers wait for a response that never comes.
const patience = 20 * time.Millisecond

// times makes a call n times, and returns the last error.
func times(n int, play func(context.Context, *shopper) error) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) (last error) {
		for range n {
			last = play(ctx, s)
		}
		return last
	}
}

func get(cart string) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		_, err := s.cart.Get(ctx, &shoppb.GetRequest{CartId: cart})
		return err
	}
}

func search(query string) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		_, err := s.catalog.Search(ctx, &shoppb.SearchRequest{Query: query})
		return err
	}
}

// importItems sends one item for each quantity.
func importItems(cart string, quantities ...int32) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		stream, err := s.cart.Import(ctx)
		if err != nil {
			return err
		}
		for _, n := range quantities {
			item := &shoppb.Item{Sku: "MAIL-001", Quantity: n}
			if stream.Send(&shoppb.ImportRequest{CartId: cart, Item: item}) != nil {
				break // the stream has ended: CloseAndRecv returns its status
			}
		}
		_, err = stream.CloseAndRecv()
		return err
	}
}

func watch(cart string) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		stream, err := s.cart.Watch(ctx, &shoppb.WatchRequest{CartId: cart})
		if err != nil {
			return err
		}
		return readAll(stream)
	}
}

// readAll reads a stream to its end.
func readAll[T any](stream grpc.ServerStreamingClient[T]) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// chat sends two messages and waits for the reply to each.
func chat(cart string) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		stream, err := s.cart.Chat(ctx)
		if err != nil {
			return err
		}
		for _, text := range []string{"Does it rust?", "Does it shrink?"} {
			if err := ask(stream, cart, text); err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		_, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

func ask(stream grpc.BidiStreamingClient[shoppb.ChatRequest, shoppb.ChatResponse], cart, text string) error {
	err := stream.Send(&shoppb.ChatRequest{CartId: cart, Text: text})
	if err != nil && !errors.Is(err, io.EOF) { // after io.EOF, Recv returns the status
		return err
	}
	_, err = stream.Recv()
	return err
}

// leaveWatching cancels a watch after the first change.
func leaveWatching(ctx context.Context, s *shopper) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.cart.Watch(ctx, &shoppb.WatchRequest{CartId: "emma"})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	cancel()
	return readAll(stream)
}

// giveUp cancels a unary call that gets no response.
func giveUp(ctx context.Context, s *shopper) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(patience, cancel).Stop()
	return get(cartStuck)(ctx, s)
}

// runOutOfTime makes a call that exceeds its deadline.
func runOutOfTime(ctx context.Context, s *shopper) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return importItems(cartStuck, 1)(ctx, s)
}

// abandonChat sends a message and does not read. The call ends with its context.
func abandonChat(ctx context.Context, s *shopper) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.cart.Chat(ctx)
	if err != nil {
		return err
	}
	return stream.Send(&shoppb.ChatRequest{CartId: "frida", Text: "On second thoughts, no."})
}

// unknown calls a method that the shop does not have.
func unknown(method string) func(context.Context, *shopper) error {
	return func(ctx context.Context, s *shopper) error {
		return s.conn.Invoke(ctx, method, &shoppb.GetRequest{}, &shoppb.GetResponse{})
	}
}
