package serving_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

// A server starts, serves, and is read-only for a while.
func Example() {
	healthServer := health.NewServer() // in a program it is registered on the server
	state := serving.New(serving.Config{}, serving.WithHealth(healthServer))
	chain := hauberk.Must(hauberk.New(state)) // in a program: chain.NewServer()
	serve := hauberktest.Direct{}.Server(chain)
	for _, to := range []serving.State{serving.Starting, serving.Serving, serving.ReadOnly} {
		if err := state.Set(to); err != nil {
			fmt.Println(err)
		}
		err := serve(context.Background())
		fmt.Printf("%s, ready %t: %s %q\n", to, state.Ready(), status.Code(err), hauberk.Reason(err))
	}
	// No call that could write runs once Idle has returned.
	fmt.Println(state.Idle(context.Background()))
	// Output:
	// starting, ready false: Unavailable "SERVER_STARTING"
	// serving, ready true: OK ""
	// read-only, ready true: FailedPrecondition "SERVER_READ_ONLY"
	// <nil>
}

// A state of the application: only administrators may repair the data.
func ExampleRule() {
	const repair = serving.State("repair")
	state := serving.New(serving.Config{States: map[serving.State]serving.Rule{
		repair: {Methods: []string{"shop.admin.v1.*"}, Message: "The shop is being repaired"},
	}})
	fmt.Println(state.Set(repair))
	fmt.Println(state.Set("repairs"))
	explanation, _ := hauberk.Must(hauberk.New(state)).Explain("shop.v1.Cart/Get")
	fmt.Print(explanation)
	// Output:
	// <nil>
	// serving: Set("repairs"): unknown state; want draining, maintenance, read-only, repair, serving, starting
	// /shop.v1.Cart/Get
	//   1  runs     serving: for every method
	//               state repair (rejected with SERVER_REPAIR): serving.Interceptor.Set
	//               accepted in serving: serving.Config.States
}
