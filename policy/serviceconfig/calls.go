package serviceconfig

import (
	"context"
	"slices"

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
		o.add(&o.wait, grpc.WaitForReady(*m.WaitForReady))
	}
	if m.MaxRequestBytes != nil {
		o.add(&o.send, grpc.MaxCallSendMsgSize(*m.MaxRequestBytes))
	}
	if m.MaxResponseBytes != nil {
		o.add(&o.receive, grpc.MaxCallRecvMsgSize(*m.MaxResponseBytes))
	}
	return &o
}

// callOptions sets the call options of the methods of an entry. Safe for concurrent use.
type callOptions struct {
	wait, send, receive []grpc.CallOption // one each, or none
	all                 []grpc.CallOption // those of the three
	request, response   *int              // the limits of send and receive
}

func (o *callOptions) add(list *[]grpc.CallOption, option grpc.CallOption) {
	*list = []grpc.CallOption{option}
	o.all = append(o.all, option)
}

// Declare describes the interceptor.
func (*callOptions) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "serviceconfig", Detail: "options", Sides: hauberk.OnlyClients}
}

// Intercept adds the options that those of the call do not replace.
func (o *callOptions) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if len(call.Options()) == 0 {
		call.AddOptions(o.all...)
	} else {
		call.AddOptions(o.beyond(call.Options())...)
	}
	return next(ctx, call)
}

// beyond returns the options that others do not replace: of limits the lower one counts, else the option of the call.
func (o *callOptions) beyond(others []grpc.CallOption) []grpc.CallOption {
	wait, send, receive := o.wait, o.send, o.receive
	for _, other := range others {
		switch other := other.(type) {
		case grpc.FailFastCallOption:
			wait = nil
		case grpc.MaxSendMsgSizeCallOption:
			send = nil
			if o.request != nil && *o.request < other.MaxSendMsgSize {
				send = o.send
			}
		case grpc.MaxRecvMsgSizeCallOption:
			receive = nil
			if o.response != nil && *o.response < other.MaxRecvMsgSize {
				receive = o.receive
			}
		}
	}
	return slices.Concat(wait, send, receive)
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
