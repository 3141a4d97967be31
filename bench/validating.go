package main

import (
	"context"
	"fmt"

	"buf.build/go/protovalidate"
	mwvalidate "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/bench/internal/orderpb"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
)

// orderService accepts orders. Its requests have rules.
type orderService struct {
	orderpb.UnimplementedOrderServiceServer
}

var receipt = &orderpb.Receipt{Id: "7"}

func (orderService) Place(context.Context, *orderpb.Order) (*orderpb.Receipt, error) {
	return receipt, nil
}

// orderOf returns an order of three items with a count, which is valid above 0.
func orderOf(count int32) *orderpb.Order {
	order := &orderpb.Order{Id: "7", Email: "alice@example.com"}
	for _, sku := range []string{"tea", "cup", "pot"} {
		order.Items = append(order.Items, &orderpb.Item{Sku: sku, Count: count})
	}
	return order
}

// placeOrder serves one call with a request behind a chain, an interceptor of grpc-go or
// nothing. It returns an error unless the call ends with a code.
func placeOrder(
	chain *hauberk.Chain, interceptor grpc.UnaryServerInterceptor, count int32, want codes.Code,
) func() error {
	var r registry
	if chain == nil {
		orderpb.RegisterOrderServiceServer(&r, orderService{})
	} else {
		orderpb.RegisterOrderServiceServer(chain.Registrar(&r), orderService{})
	}
	ctx, err := incomingContext()
	if err != nil {
		return failing(err)
	}
	handler, order := r.desc.Methods[0].Handler, orderOf(count)
	decode := func(msg any) error { //nolint:unparam // as grpc-go's decoder
		request := msg.(*orderpb.Order)
		request.Id, request.Email, request.Items = order.GetId(), order.GetEmail(), order.GetItems()
		return nil
	}
	return func() error {
		if _, err := handler(r.impl, ctx, decode, interceptor); hauberk.CodeOf(err) != want {
			return fmt.Errorf("the call ended with %w; want %s", err, want)
		}
		return nil
	}
}

// middlewareValidate is go-grpc-middleware's interceptor.
func middlewareValidate() grpc.UnaryServerInterceptor {
	validator, err := protovalidate.New()
	if err != nil {
		panic(err)
	}
	return mwvalidate.UnaryServerInterceptor(validator)
}

// validateContests compare validation with go-grpc-middleware's, which uses the same
// validator. The base is the same call with an interceptor that does nothing, so that what
// remains is the validator, which is the same, and what is around it.
func validateContests() []contest {
	return []contest{validateContest("valid", 1, codes.OK), validateContest("invalid", 0, codes.InvalidArgument)}
}

func validateContest(kind string, count int32, want codes.Code) contest {
	const own, rival = "Hauberk, validate", "go-grpc-middleware, protovalidate"
	idle := func() func() error {
		return placeOrder(chainOf(idleInterceptors(1)...), nil, count, codes.OK)
	}
	return contest{
		name: "validate, " + kind + " request, unary call on a server",
		variants: []variant{
			{oneIdle, idle},
			{own, func() func() error {
				return placeOrder(chainOf(validate.New(validate.Config{})), nil, count, want)
			}},
			{grpcIdle, func() func() error { return placeOrder(nil, idleUnary, count, codes.OK) }},
			{rival, func() func() error { return placeOrder(nil, middlewareValidate(), count, want) }},
		},
		bases: map[string]string{grpcIdle: grpcIdle, rival: grpcIdle},
	}
}
