package validate_test

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

// place makes a unary call through a server's chain, without a network.
func place(chain *hauberk.Chain, order *checkpb.Order) (any, error) {
	info := &grpc.UnaryServerInfo{FullMethod: checkpb.CheckService_Unary_FullMethodName}
	return chain.UnaryServerInterceptor()(context.Background(), order, info, func(context.Context, any) (any, error) {
		return &checkpb.Receipt{Id: order.GetId()}, nil
	})
}

// A server rejects requests that violate the rules in their .proto file:
//
//	message Item {
//	  string sku = 1 [(buf.validate.field).string.pattern = "^[a-z]+$"];
//	  int32 count = 2 [(buf.validate.field).int32.gt = 0];
//	}
func Example() {
	chain := hauberk.Must(hauberk.New(validate.New(validate.Config{})))
	_, err := place(chain, &checkpb.Order{Id: "7", Items: []*checkpb.Item{{Sku: "tea", Count: -1}}})
	fmt.Println(status.Code(err), hauberk.Reason(err))
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			v := bad.GetFieldViolations()[0]
			fmt.Println(v.GetField(), v.GetDescription())
		}
	}
	// Output:
	// InvalidArgument INVALID_REQUEST
	// items[0].count must be greater than 0 [int32.gt]
}

// A server answers an invalid order with a receipt that says so, in place of an error.
func ExampleWithAnswer() {
	chain := hauberk.Must(hauberk.New(validate.New(
		validate.Config{Invalid: validate.Answer},
		validate.WithAnswer(func(_ *hauberk.Call, r *hauberk.Rejection) ([]any, error) {
			return []any{&checkpb.Receipt{Id: "not accepted: " + r.FieldViolations[0].Field}}, nil
		}),
	)))
	receipt, err := place(chain, &checkpb.Order{})
	fmt.Println(receipt.(*checkpb.Receipt).GetId(), err)
	// Output:
	// not accepted: id <nil>
}

// hauberk.New reports rules that do not compile, if it knows the services.
func ExampleWithServices() {
	service := checkpb.File_interceptors_validate_internal_checkpb_check_proto.Services().ByName("CheckService")
	_, err := hauberk.New(validate.New(validate.Config{}, validate.WithServices(service)))
	fmt.Println(err != nil)

	except := validate.Config{Except: []string{"hauberk.validate.test.v1.CheckService/Compile"}}
	_, err = hauberk.New(validate.New(except, validate.WithServices(service)))
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
