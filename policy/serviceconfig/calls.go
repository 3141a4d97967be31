package serviceconfig

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// options returns the interceptor that sets the call options of an entry, or nil if it has none.
func (b *builder) options(m *MethodConfig) hauberk.Interceptor {
	if m.WaitForReady == nil && m.MaxRequestBytes == nil && m.MaxResponseBytes == nil {
		return nil
	}
	o := callOptions{request: m.MaxRequestBytes, response: m.MaxResponseBytes}
	if m.WaitForReady != nil {
		o.wait = grpc.WaitForReady(*m.WaitForReady)
	}
	return &o
}

// callOptions sets the call options of the methods of an entry. Safe for concurrent use.
type callOptions struct {
	wait              grpc.CallOption // nil for none
	request, response *int            // nil for none
}

// Declare describes the interceptor.
func (*callOptions) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "serviceconfig", Detail: "options", Sides: hauberk.OnlyClients}
}

// Intercept adds the options that those of the call do not replace.
func (o *callOptions) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	wait, request, response := o.wait, o.request, o.response
	for _, option := range call.Options() {
		switch option := option.(type) {
		case grpc.FailFastCallOption:
			wait = nil
		case grpc.MaxSendMsgSizeCallOption:
			request = lower(o.request, option.MaxSendMsgSize)
		case grpc.MaxRecvMsgSizeCallOption:
			response = lower(o.response, option.MaxRecvMsgSize)
		}
	}
	if wait != nil {
		call.AddOptions(wait)
	}
	if request != nil {
		call.AddOptions(grpc.MaxCallSendMsgSize(*request))
	}
	if response != nil {
		call.AddOptions(grpc.MaxCallRecvMsgSize(*response))
	}
	return next(ctx, call)
}

// lower returns a limit if it is lower than another, else nil.
func lower(limit *int, other int) *int {
	if limit == nil || other <= *limit {
		return nil
	}
	return limit
}

// counter counts the outcomes of calls that are not repeated for a budget: gRFC A6 throttles by all calls of a
// client. Safe for concurrent use.
type counter struct {
	budget *retrybudget.Budget
	hedged bool // its methods are hedged, apart from those that stream requests
}

func (b *builder) counter(hedged bool) hauberk.Interceptor { return &counter{b.budget, hedged} }

// Declare describes the interceptor.
func (*counter) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "serviceconfig", Detail: "throttling", Sides: hauberk.OnlyClients,
	}
}

// Intercept counts the outcome of a call.
func (c *counter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if c.hedged && !call.Kind().ClientStreams() {
		return next(ctx, call)
	}
	call.CaptureMetadata()
	err := next(ctx, call)
	switch {
	case err == nil:
		c.budget.Success()
	case call.Header() == nil && pushback.Read(call.Trailer(), hauberk.StatusOf(err)).Final:
		c.budget.Failure()
	}
	return err
}
