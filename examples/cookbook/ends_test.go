package cookbook_test

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
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
