package callexpr_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// Calls of administrators share a quota, and others have one for each user. An administrator's call takes
// 1 permit, another one 3.
func Example() {
	chain := hauberk.Must(hauberk.New(login{}, ratelimit.New(ratelimit.Config{
		Limit: 6, Per: time.Minute,
		By:   callexpr.Key("caller", `"admin" in identity.roles ? "admins" : "user " + identity.subject`),
		Cost: ratelimit.Cost{Call: 3, Of: callexpr.Cost(`"admin" in identity.roles ? 1 : 3`)},
	})))
	serve := hauberktest.Direct{}.Server(chain)
	alice, root := &hauberk.Identity{Subject: "alice"}, &hauberk.Identity{Subject: "root", Roles: []string{"admin"}}
	for range 3 {
		fmt.Println("alice", status.Code(serve(context.WithValue(context.Background(), identityOf{}, alice))))
		fmt.Println("root", status.Code(serve(context.WithValue(context.Background(), identityOf{}, root))))
	}
	// Output:
	// alice OK
	// root OK
	// alice OK
	// root OK
	// alice ResourceExhausted
	// root OK
}

// The plan of a caller is a claim of its token. A number has to be converted.
func ExampleKey() {
	key := callexpr.Key("account", `string(identity.claims.account)`)
	limiter := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Minute, By: key})
	serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(login{}, limiter)))
	for _, account := range []any{1.0, 1.0, 2.0, nil, nil} {
		id := &hauberk.Identity{Subject: "alice", Claims: map[string]any{"account": account}}
		err := serve(context.WithValue(context.Background(), identityOf{}, id))
		fmt.Println(account, status.Code(err))
	}
	// Output:
	// 1 OK
	// 1 ResourceExhausted
	// 2 OK
	// <nil> OK
	// <nil> ResourceExhausted
}

// A field of the request is a variable, as text.
func ExampleWithField() {
	by := callexpr.Key("size", `int(fields.count) > 100 ? "large" : "small"`,
		callexpr.WithField("count", field.Int("count")))
	chain := hauberk.Must(hauberk.New(ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Minute, By: by})))
	for _, count := range []int32{1, 500, 2, 501} {
		serve := hauberktest.Direct{Decode: func(msg any) error {
			if req, ok := msg.(*testpb.Request); ok {
				req.Count = count
			}
			return nil
		}}.Server(chain)
		fmt.Println(count, status.Code(serve(context.Background())))
	}
	// Output:
	// 1 OK
	// 500 OK
	// 2 ResourceExhausted
	// 501 ResourceExhausted
}

// A proxy that is trusted writes the cost of a call. A call without it takes Cost.Call.
func ExampleCost() {
	cost := ratelimit.Cost{Call: 10, Of: callexpr.Cost(`int(metadata.weight.last())`)}
	limiter := ratelimit.New(ratelimit.Config{Limit: 10, Per: time.Minute, Cost: cost})
	serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(limiter)))
	for _, weight := range []string{"4", "4", "none"} {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("weight", weight))
		fmt.Println(weight, status.Code(serve(ctx)))
	}
	// Output:
	// 4 OK
	// 4 OK
	// none ResourceExhausted
}

// Errors name the place and what would be right.
func ExampleKey_errors() {
	limiter := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Minute, By: callexpr.Key("size", `size(request.items)`)})
	_, err := hauberk.New(limiter)
	fmt.Println(err)
	// Output:
	// hauberk: interceptor 1: ratelimit: By: callexpr.Key "size": "size(request.items)": 1:6: undeclared reference to 'request'; the request is not read yet when a call is charged; want a field of it (WithField), method, identity, metadata, client_addr or now
}
