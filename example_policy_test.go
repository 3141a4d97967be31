package hauberk_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// A chain has the policy that the .proto file of its service states:
//
//	rpc Browse(BrowseRequest) returns (stream Item) {
//	  option (hauberk.v1.policy).public = true;
//	}
//
// The application overrides the deadlines.
func ExampleFromDescriptors() {
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := policy.Override("*", func(m *hauberk.MethodPolicy) { m.Deadline = 5 * time.Second }); err != nil {
		fmt.Println(err)
		return
	}

	outside, inside := ratelimit.FromPolicy(policy, ratelimit.Config{})
	deadlines := transform.New(transform.Config{}, transform.WithPolicy(policy))
	chain := hauberk.Must(hauberk.Config{Policy: policy}.New(
		slices.Concat(outside, []hauberk.Interceptor{deadlines, authenticates{}, authorizes()}, inside)...))
	explanation, err := chain.Explain("hauberk.policy.test.v1.Cart/Browse")
	fmt.Println(explanation, err)
	// Output:
	// /hauberk.policy.test.v1.Cart/Browse (public)
	//               public true: option (hauberk.v1.policy) of hauberk.policy.test.v1.Cart/Browse
	//   1  runs     ratelimit(peer): matched by For("hauberk.policy.test.v1.Cart/Browse", "hauberk.policy.test.v1.Cart/List", "hauberk.policy.test.v1.Cart/Pay", "hauberk.policy.test.v1.Cart/Refund")
	//               limit 1000 in 1s by peer, shared by the service: option (hauberk.v1.service_policy) of hauberk.policy.test.v1.Cart
	//   2  runs     transform: for every method
	//               deadline 5s: the application
	//   3  runs     authn: for every method
	//   4  runs     authz: for every method
	//   5  skipped  ratelimit(user): not matched by For("hauberk.policy.test.v1.Cart/Get")
	//  <nil>
}

// The policy of a method can be read by any code.
func ExampleDescriptorPolicy_Method() {
	policy, err := hauberk.FromRegistry("hauberk.policy.test.v1.Cart")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, setting := range policy.Method("hauberk.policy.test.v1.Cart/Pay").Settings() {
		fmt.Println(setting.Name, setting.Value)
	}
	// Output:
	// roles buyer, support
	// scopes cart.pay
	// deadline 10s
	// limits 1000 in 1s by peer, shared by the service
}
