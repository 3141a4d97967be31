package validate_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

// service answers each order with a receipt for its id without the prefix "get:". It notes the
// ids of the orders that reach it.
type service struct {
	checkpb.UnimplementedCheckServiceServer

	mu  sync.Mutex
	ids []string
}

func (s *service) receipt(o *checkpb.Order) *checkpb.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, o.GetId())
	return &checkpb.Receipt{Id: strings.TrimPrefix(o.GetId(), "get:")}
}

// seen returns the ids of the orders that reached the service.
func (s *service) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.ids, " ")
}

func (s *service) Unary(_ context.Context, o *checkpb.Order) (*checkpb.Receipt, error) {
	return s.receipt(o), nil
}

func (s *service) ServerStream(o *checkpb.Order, stream grpc.ServerStreamingServer[checkpb.Receipt]) error {
	if err := stream.Send(&checkpb.Receipt{Id: "first"}); err != nil {
		return err
	}
	return stream.Send(s.receipt(o))
}

func (s *service) ClientStream(stream grpc.ClientStreamingServer[checkpb.Order, checkpb.Receipt]) error {
	last := &checkpb.Receipt{Id: "none"}
	for {
		o, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(last)
		}
		if err != nil {
			return err
		}
		last = s.receipt(o)
	}
}

func (s *service) Bidi(stream grpc.BidiStreamingServer[checkpb.Order, checkpb.Receipt]) error {
	for {
		o, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(s.receipt(o)); err != nil {
			return err
		}
	}
}

func (s *service) Compile(context.Context, *checkpb.Uncompilable) (*checkpb.Receipt, error) {
	return &checkpb.Receipt{Id: "compiled"}, nil
}

func (s *service) Evaluate(context.Context, *checkpb.Unevaluable) (*checkpb.Receipt, error) {
	return &checkpb.Receipt{Id: "evaluated"}, nil
}

// env is a server and its client, with interceptors on one side.
type env struct {
	kind      hauberk.Kind
	service   *service
	client    checkpb.CheckServiceClient
	outcomes  chan error
	decisions []hauberk.Decision // of the last call, after its outcome
}

// start starts an environment with interceptors on the side of a case, inside one that keeps
// the outcome of the chain and the decisions.
func start(t testing.TB, c hauberktest.Case, interceptors ...hauberk.Interceptor) *env {
	t.Helper()
	e := &env{kind: c.Kind, service: &service{}, outcomes: make(chan error, 100)}
	observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		e.decisions = call.Decisions().All()
		e.outcomes <- err
		return err
	})
	chain, err := hauberk.New(append([]hauberk.Interceptor{observe}, interceptors...)...)
	if err != nil {
		t.Fatal(err)
	}
	setup := hauberktest.Setup{
		Kind:     c.Kind,
		Register: func(srv *hauberk.Server) { checkpb.RegisterCheckServiceServer(srv, e.service) },
	}
	if c.Side == hauberk.ServerSide {
		setup.Server = chain
	} else {
		setup.Client = chain
	}
	e.client = checkpb.NewCheckServiceClient(hauberktest.Start(t, setup).Conn)
	return e
}

// ended waits until the chain has ended and the decisions are kept.
func (e *env) ended() {
	<-e.outcomes //nolint:errcheck // the caller looks at the decisions only
}

// call sends orders, the first only if the method has a single request, and returns the ids of
// the received receipts, joined by spaces, and the error for the caller.
func (e *env) call(t testing.TB, orders ...*checkpb.Order) (ids string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var receipts []*checkpb.Receipt
	switch e.kind {
	case hauberk.Unary:
		receipts, err = one(e.client.Unary(ctx, orders[0]))
	case hauberk.ServerStream:
		var stream grpc.ServerStreamingClient[checkpb.Receipt]
		if stream, err = e.client.ServerStream(ctx, orders[0]); err == nil {
			receipts, err = all(stream.Recv)
		}
	case hauberk.ClientStream:
		receipts, err = e.clientStream(ctx, orders)
	default:
		receipts, err = e.bidi(ctx, orders)
	}
	all := make([]string, 0, len(receipts))
	for _, r := range receipts {
		all = append(all, r.GetId())
	}
	return strings.Join(all, " "), err
}

func (e *env) clientStream(ctx context.Context, orders []*checkpb.Order) ([]*checkpb.Receipt, error) {
	stream, err := e.client.ClientStream(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		if err := stream.Send(o); err != nil {
			break // CloseAndRecv returns the status
		}
	}
	return one(stream.CloseAndRecv())
}

// bidi waits for a receipt after each order, but for invalid ones that are dropped.
func (e *env) bidi(ctx context.Context, orders []*checkpb.Order) ([]*checkpb.Receipt, error) {
	stream, err := e.client.Bidi(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		if err := stream.Send(o); err != nil {
			break
		}
	}
	_ = stream.CloseSend()
	return all(stream.Recv)
}

func one(r *checkpb.Receipt, err error) ([]*checkpb.Receipt, error) {
	if err != nil {
		return nil, err
	}
	return []*checkpb.Receipt{r}, nil
}

func all(receive func() (*checkpb.Receipt, error)) (receipts []*checkpb.Receipt, err error) {
	for {
		r, err := receive()
		if errors.Is(err, io.EOF) {
			return receipts, nil
		}
		if err != nil {
			return receipts, err
		}
		receipts = append(receipts, r)
	}
}

// order returns a valid order.
func order(id string) *checkpb.Order {
	return &checkpb.Order{Id: id, Items: []*checkpb.Item{{Sku: "tea", Count: 1}}}
}

// badOrder returns an order with two violations.
func badOrder() *checkpb.Order {
	return &checkpb.Order{Id: "bad", Items: []*checkpb.Item{{Sku: "tea", Count: 1}, {Sku: "Tea", Count: -1}}}
}

// badReceipt returns a valid order that the service answers with an invalid receipt.
func badReceipt() *checkpb.Order { return order("get:") }

// fieldsOf returns the violations in the google.rpc.BadRequest of an error, "path: description".
func fieldsOf(err error) (fields []string) {
	for _, d := range hauberk.StatusOf(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				fields = append(fields, v.GetField()+": "+v.GetDescription())
			}
		}
	}
	return fields
}

// want checks the code and the reason of an error.
func want(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if got := hauberk.CodeOf(err); got != code || hauberk.Reason(err) != reason {
		t.Errorf("the call ended with %v and the reason %q; want %s and %s", err, hauberk.Reason(err), code, reason)
	}
}

// requests is a configuration that validates requests on a side, responses one for responses.
func requests(c hauberktest.Case) validate.Config {
	return validate.Config{Sent: c.Side == hauberk.ClientSide}
}

func responses(c hauberktest.Case) validate.Config {
	return validate.Config{Sent: c.Side == hauberk.ServerSide, Responses: c.Side == hauberk.ClientSide}
}
