package errs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// The errors of a shop, in a package that its server and its clients import.
var ErrNotFound = errors.New("item not found")

// StockError is the error if there are too few of an item.
type StockError struct {
	Item string
	Left int32
}

func (e *StockError) Error() string { return fmt.Sprintf("only %d of %s left", e.Left, e.Item) }

// Errors is the table. A real one has its own message for the detail.
var Errors = errs.NewTable("shop.example",
	errs.Sentinel(ErrNotFound, codes.NotFound, "ITEM_NOT_FOUND"),
	errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK",
		func(e *StockError) *testpb.Response { return &testpb.Response{Text: e.Item, Index: e.Left} },
		func(d *testpb.Response) (*StockError, error) { return &StockError{d.GetText(), d.GetIndex()}, nil }),
)

// The handler returns errors of Go, and the application on the client finds them.
func Example() {
	x := errs.New(errs.Config{}, Errors)
	client, stop := start(hauberk.Must(hauberk.New(x)), hauberk.Must(hauberk.New(x)))
	defer stop()

	_, err := client.Unary(context.Background(), &testpb.Request{Text: "cap"})
	fmt.Println(errors.Is(err, ErrNotFound), status.Code(err), status.Convert(err).Message())

	stream, err := client.ServerStream(context.Background(), &testpb.Request{Text: "hat", Count: 3})
	if err == nil {
		_, err = stream.Recv()
	}
	if stock, ok := errors.AsType[*StockError](err); ok {
		fmt.Println(stock.Item, stock.Left, status.Code(err), hauberk.Reason(err))
	}
	// Output:
	// true NotFound item not found
	// hat 2 FailedPrecondition OUT_OF_STOCK
}

// An error without an entry is masked: its text is in the log, with the reference that the client has.
func Example_masked() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: only("error.message", "error_reference")}))
	chain := hauberk.Must(hauberk.New(
		logging.New(logging.Config{}, logging.WithLogger(log), logging.State("error_reference", errs.ReferenceKey)),
		errs.New(errs.Config{}, Errors, errs.WithReference(func(context.Context, *hauberk.Call, error) string {
			return "4f0c1d88" // in place of a random one
		})),
	))
	serve := hauberktest.Direct{Service: shop{}}.Server(chain)
	fmt.Println(serve(context.Background()))
	// Output:
	// error.message="internal error (reference 4f0c1d88): query at 10.0.0.7: connection reset" error_reference=4f0c1d88
	// rpc error: code = Unknown desc = internal error (reference 4f0c1d88)
}

// A server does not pass on the errors of a server that it calls. Its handler decides for those that its clients
// are to receive.
func Example_twoServices() {
	x := errs.New(errs.Config{}, Errors)
	back, stopBack := start(hauberk.Must(hauberk.New(x)), hauberk.Must(hauberk.New(x)))
	defer stopBack()

	front := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		resp, err := back.Unary(ctx, req)
		switch {
		case errors.Is(err, ErrNotFound):
			return ErrNotFound // the same error, now of this service
		case err != nil:
			return fmt.Errorf("the shop: %w", err) // hidden
		}
		return s.Send(resp)
	}}
	chain := hauberk.Must(hauberk.New(errs.New(errs.Config{}, Errors, errs.WithReference(func(context.Context, *hauberk.Call, error) string {
		return "b2e957a3"
	}))))
	for _, item := range []string{"cap", "hat"} {
		fmt.Println(hauberktest.Direct{Service: front, Decode: requestOf(item)}.Server(chain)(context.Background()))
	}
	// Output:
	// rpc error: code = NotFound desc = item not found
	// rpc error: code = Internal desc = internal error (reference b2e957a3)
}

// The items of a batch have a status each.
func ExampleTable_ToStatus() {
	for _, err := range []error{fmt.Errorf("item 1: %w", ErrNotFound), &StockError{"hat", 2}, errors.New("no entry")} {
		st, ok := Errors.ToStatus(err)
		fmt.Println(ok, st.Code(), st.Message())
		if ok {
			fmt.Println(errors.Is(Errors.FromStatus(st), ErrNotFound))
		}
	}
	// Output:
	// true NotFound item not found
	// true
	// true FailedPrecondition only 2 of hat left
	// false
	// false OK
}

// What is wrong with a table is an error of hauberk.New, all at once.
func ExampleNewTable_mistakes() {
	table := errs.NewTable("shop.example",
		errs.Sentinel(ErrNotFound, codes.NotFound, "itemNotFound"),
		errs.Sentinel(ErrNotFound, codes.OK, "ITEM_NOT_FOUND"),
		errs.Type[*StockError](codes.FailedPrecondition, "OUT_OF_STOCK"),
	)
	fmt.Println(table.Err())
	// Output:
	// errs.NewTable("shop.example"): entry 1, itemNotFound for "item not found": the reason is "itemNotFound"; want UPPER_SNAKE_CASE of at most 63 characters that match [A-Z][A-Z0-9_]+[A-Z0-9]
	// entry 2, ITEM_NOT_FOUND for "item not found": the code is OK; want that of an error
	// entry 2, ITEM_NOT_FOUND for "item not found": the sentinel is there twice
	// entry 3, OUT_OF_STOCK for the type *errs_test.StockError: *errs_test.StockError cannot be encoded without a codec: it is neither a struct without fields nor a protobuf message; use TypeWithDetail or TypeWithMetadata
}

// A test of a service fails for errors without a status. Here t prints how.
func ExampleWithUnmapped() {
	t := &printing{}
	chain := hauberk.Must(hauberk.New(errs.New(errs.Config{}, Errors, errs.WithUnmapped(hauberktest.Unmapped(t)))))
	for _, item := range []string{"cap", "hat", "scarf"} {
		_ = hauberktest.Direct{Service: shop{}, Decode: requestOf(item)}.Server(chain)(context.Background())
	}
	t.end()
	// Output:
	// hauberktest: a handler returned an error without a status: hauberk.test.v1.TestService/Unary: *errors.errorString: query at 10.0.0.7: connection reset
}

// printing is a test that prints its errors.
type printing struct {
	testing.TB

	end func()
}

func (p *printing) Helper()                           {}
func (p *printing) Cleanup(f func())                  { p.end = f }
func (p *printing) Errorf(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }

// requestOf returns a function that decodes a request for an item.
func requestOf(item string) func(msg any) error {
	return func(msg any) error {
		msg.(*testpb.Request).Text = item
		return nil
	}
}

// shop is the service.
type shop struct {
	testpb.UnimplementedTestServiceServer
}

func (shop) Unary(_ context.Context, req *testpb.Request) (*testpb.Response, error) {
	switch req.GetText() {
	case "cap":
		return nil, fmt.Errorf("item 17 on 10.0.0.7: %w", ErrNotFound)
	case "hat":
		return nil, &StockError{"hat", 2}
	default:
		return nil, errors.New("query at 10.0.0.7: connection reset")
	}
}

func (shop) ServerStream(req *testpb.Request, _ grpc.ServerStreamingServer[testpb.Response]) error {
	return fmt.Errorf("reserve: %w", &StockError{req.GetText(), 2})
}

// start serves the shop on a socket and returns a client of it.
func start(server, client *hauberk.Chain) (c testpb.TestServiceClient, stop func()) {
	lis := listener()
	srv := server.NewServer()
	testpb.RegisterTestServiceServer(srv, shop{})
	go func() { _ = srv.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	return testpb.NewTestServiceClient(client.ClientConn(conn)), func() {
		_ = conn.Close()
		srv.Stop()
	}
}

// only leaves out all attributes but some.
func only(keys ...string) func([]string, slog.Attr) slog.Attr {
	return func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains(keys, a.Key) {
			return a
		}
		return slog.Attr{}
	}
}
