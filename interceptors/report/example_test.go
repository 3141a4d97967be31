package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
)

// The reporter gets the first failure of each kind, with the text that clients do not receive.
func Example() {
	send := func(_ context.Context, i report.Incident) { // in a program: to a queue of the incident reporter
		fmt.Println(i.Method, i.Code, i.Panic, i.Err)
	}
	fails := []func() error{
		func() error { return errors.New("connection to the database lost") },
		func() error { panic("no such item") },
	}
	calls := 0
	chain := hauberk.Must(hauberk.New(
		report.New(report.Config{}, send),
		recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler))),
		hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			calls++
			return fails[calls%2]()
		}),
	))
	serve := hauberktest.Direct{Kind: hauberk.Unary}.Server(chain)
	for range 10 {
		_ = serve(context.Background())
	}
	// Output:
	// hauberk.test.v1.TestService/Unary Internal true rpc error: code = Internal desc = internal error
	// hauberk.test.v1.TestService/Unary Unknown false connection to the database lost
}
