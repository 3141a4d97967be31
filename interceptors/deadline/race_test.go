package deadline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// prompt are handlers that return at the moment of the deadline.
var prompt = map[string]func(ctx context.Context, s hauberktest.Stream) error{
	"ends without an error": func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		return nil
	},
	"ends with another status": func(ctx context.Context, _ hauberktest.Stream) error {
		<-ctx.Done()
		return status.Error(codes.Canceled, "the handler gave up")
	},
	"has sent a message": func(ctx context.Context, s hauberktest.Stream) error {
		if err := s.Send(&testpb.Response{}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	},
	"looks at the clock": func(ctx context.Context, _ hauberktest.Stream) error {
		at, _ := ctx.Deadline()
		pass(time.Until(at))
		return nil
	},
}

// TestHandlerAtDeadline: at a deadline that the server has set, what a handler returns is dropped, also if it returns
// at that moment. A stream that the deadline has cut does not look complete.
func TestHandlerAtDeadline(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for name, c := range map[string]struct {
		config deadline.Config
		caller time.Duration
	}{
		"default":                        {deadline.Config{Default: timeout}, 0},
		"cap":                            {deadline.Config{Max: timeout}, 0},
		"cap below the caller's":         {deadline.Config{Max: timeout}, time.Second},
		"end early":                      {deadline.Config{EndEarly: true}, timeout},
		"default and message timeouts":   {deadline.Config{Default: timeout, IdleTimeout: time.Second}, 0},
		"default and a typical quantile": {deadline.Config{Default: timeout, TypicalQuantile: 0.5}, 0},
	} {
		for way, handle := range prompt {
			t.Run(name+"/"+way, func(t *testing.T) {
				onServers(t, func(t *testing.T, m hauberktest.Case) {
					w := new(witness)
					env := m.StartWith(t, handler(handle), w, deadline.New(c.config))
					for range 10 {
						wantCode(t, openIn(within(t, c.caller), t, env, m.Kind), codes.DeadlineExceeded)
						synctest.Wait()
					}
					for _, err := range w.outcomes {
						wantCode(t, err, codes.DeadlineExceeded)
					}
				})
			})
		}
	}
}
