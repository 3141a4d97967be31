package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// The errors of the service, in a package that its clients import.
var (
	ErrUnknownName = errors.New("no one with this name is known")

	table = errs.NewTable("greeter.example", errs.Sentinel(ErrUnknownName, codes.NotFound, "NAME_UNKNOWN"))
)

func Example_errors() {
	server := greeter.Serve(&greeter.Service{Handle: func(_ context.Context, s greeter.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		return fmt.Errorf("greet %q: %w", req.GetName(), ErrUnknownName)
	}}, errs.New(errs.Config{}, table))
	client := server.Client(errs.New(errs.Config{}, table))
	for _, kind := range greeter.Kinds() {
		_, err := greeter.Call(context.Background(), client, kind, "Ada")
		fmt.Println(kind, greeter.Outcome(err), errors.Is(err, ErrUnknownName))
	}
	server.Stop()
	// Output:
	// unary NotFound "no one with this name is known" NAME_UNKNOWN true
	// client_stream NotFound "no one with this name is known" NAME_UNKNOWN true
	// server_stream NotFound "no one with this name is known" NAME_UNKNOWN true
	// bidi_stream NotFound "no one with this name is known" NAME_UNKNOWN true
}

// During maintenance only these methods are accepted. Streams of the others end.
var state = serving.New(serving.Config{Initial: serving.Serving, States: map[serving.State]serving.Rule{
	serving.Maintenance: {Methods: []string{greetMethod}, Message: "back at noon", RetryAfter: time.Minute},
}})

func Example_maintenance() {
	server := greeter.Serve(&greeter.Service{}, state)
	client := server.Client()
	chat, err := client.Chat(context.Background())
	greeter.Check(err)
	greeter.Check(chat.Send(&greeterpb.HelloRequest{Name: "Ada"}))
	first, err := chat.Recv()
	greeter.Check(err)
	fmt.Println(first.GetText())

	greeter.Check(state.Set(serving.Maintenance)) // such as from an admin endpoint
	_, err = chat.Recv()
	fmt.Println(greeter.Outcome(err))
	fmt.Println(greet(with(), client, "Ada"))
	server.Stop()
	// Output:
	// Hello, Ada
	// Unavailable "back at noon" SERVER_MAINTENANCE
	// Hello, Ada
}

// A deployment does not wait for streams that never end: after the grace time their clients are
// sent elsewhere.
var drained = hauberk.Config{Drain: hauberk.Drain{Grace: 10 * time.Millisecond}}

func Example_shutdown() {
	server := hauberk.Must(drained.New()).NewServer()
	greeterpb.RegisterGreeterServer(server, &greeter.Service{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	greeter.Check(err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	greeter.Check(err)
	chat, err := greeterpb.NewGreeterClient(conn).Chat(context.Background())
	greeter.Check(err)
	greeter.Check(chat.Send(&greeterpb.HelloRequest{Name: "Ada"}))
	_, err = chat.Recv()
	greeter.Check(err)

	fmt.Println("shutdown:", server.Shutdown(context.Background()))
	_, err = chat.Recv()
	fmt.Println(greeter.Outcome(err))
	greeter.Check(<-served)
	greeter.Check(conn.Close())
	// Output:
	// shutdown: <nil>
	// Unavailable "The server is shutting down" SERVER_SHUTTING_DOWN
}
