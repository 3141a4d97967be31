package hauberktest_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// tenantKey is state that an interceptor of the program sets.
var tenantKey = hauberk.NewKey[string]("tenant")

// listOrders is a handler. It reads the tenant from the state and the language from the
// metadata.
func listOrders(ctx context.Context) (string, error) {
	tenant := tenantKey.Or(ctx, "")
	if tenant == "" {
		return "", status.Error(codes.FailedPrecondition, "no tenant")
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return fmt.Sprintf("orders of %s in %v", tenant, md.Get("accept-language")), nil
}

// A unit test of a handler that reads state and metadata.
func ExampleContext() {
	testListOrders := func(t testing.TB) { // func TestListOrders(t *testing.T) in a program
		t.Helper()
		ctx := hauberktest.Context(t,
			hauberktest.State(tenantKey, "acme"),
			hauberktest.Metadata("accept-language", "de"),
		)
		fmt.Println(listOrders(ctx))
		fmt.Println(listOrders(hauberktest.Context(t)))
	}
	runAsTest(testListOrders)
	// Output:
	// orders of acme in [de] <nil>
	//  rpc error: code = FailedPrecondition desc = no tenant
}
