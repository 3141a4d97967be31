package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// when is the condition of a server interceptor. A nil condition always holds.
type when struct {
	Metadata *pair  `json:"metadata"`
	Method   string `json:"method"`
}

func (c *when) holds(ctx context.Context, call *hauberk.Call) bool {
	switch {
	case c == nil:
		return true
	case c.Metadata != nil:
		return slices.Contains(call.Metadata(ctx, c.Metadata.key), c.Metadata.value)
	default:
		return c.Method == "" || call.Method().FullName() == c.Method
	}
}

// conditional is an interceptor that acts on calls that meet a condition.
func conditional(c *when, act hauberk.Func) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if !c.holds(ctx, call) {
			return next(ctx, call)
		}
		return act(ctx, call, next)
	})
}

type ifConfig struct {
	head

	When  *when           `json:"when"`
	Inner json.RawMessage `json:"inner"`
}

// newIf runs an interceptor for calls that meet a condition. A condition of hauberk.When has no
// context and so no metadata, so an outer interceptor evaluates it. An interceptor under a condition
// does not count for coverage, so the methods are declared public.
func newIf(w *world, c ifConfig) (part, error) {
	inner, err := w.part(hauberk.ServerSide, c.Inner)
	if err != nil {
		return part{}, err
	}
	p := stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if c.When.holds(ctx, call) {
			next = behindAll(inner.interceptors, next)
		}
		return next(ctx, call)
	}))
	p.public = inner.public
	p.snapshot = inner.snapshot
	return p, nil
}

// behindAll returns a next that runs interceptors first, at the place of the one that calls
// it. A chain would not accept authentication under a condition.
func behindAll(interceptors []hauberk.Interceptor, next hauberk.Next) hauberk.Next {
	for _, x := range slices.Backward(interceptors) {
		inner := next
		next = func(ctx context.Context, call *hauberk.Call) error { return x.Intercept(ctx, call, inner) }
	}
	return next
}

type setStateConfig struct {
	head

	Key          string  `json:"key"`
	Value        *string `json:"value"`
	FromMetadata string  `json:"from_metadata"`
}

// newSetState logs the state's value of a key, and sets it to a text, or to the last value of request
// metadata if there is one.
func newSetState(w *world, c setStateConfig) (part, error) {
	if c.Key == "" || (c.Value == nil) == (c.FromMetadata == "") {
		return part{}, errors.New("want a key, and either a value or from_metadata")
	}
	v := w.state.named(c.Key)
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		old, ok := v.get(call)
		if !ok {
			old = "None" // as Python writes it
		}
		w.journal.log(idOf(ctx, call), call.Side(), "state "+c.Key+" was "+old)
		if c.Value != nil {
			v.set(call, *c.Value)
		} else if sent := call.Metadata(ctx, c.FromMetadata); len(sent) > 0 {
			v.set(call, sent[len(sent)-1])
		}
		return next(ctx, call)
	})), nil
}

// errNotServiced is the error of a call that no handler serves.
func errNotServiced() error { return status.Error(codes.Unimplemented, "Method not found!") }

type rejectConfig struct {
	head

	When     *when     `json:"when"`
	Code     codeNamed `json:"code"`
	Details  string    `json:"details"`
	Trailing []pair    `json:"trailing"`
}

// newReject rejects calls, except those that no handler serves.
func newReject(_ *world, c rejectConfig) (part, error) {
	trailer, err := metadataOf(c.Trailing)
	reject := func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		if !call.Method().Known() {
			return errNotServiced()
		}
		if err := call.SetTrailer(trailer); err != nil {
			return err
		}
		return hauberk.Reject(c.Code.code(), "REJECTED", c.Details)
	}
	return stateless(conditional(c.When, reject)), err
}

type noneConfig struct {
	head

	When *when `json:"when"`
}

// newNone makes a chain answer that no handler serves a call.
func newNone(_ *world, c noneConfig) (part, error) {
	return stateless(conditional(c.When, func(context.Context, *hauberk.Call, hauberk.Next) error {
		return errNotServiced()
	})), nil
}

type serverThrowConfig struct {
	head

	When    *when  `json:"when"`
	Message string `json:"message"`
}

// newServerThrow fails with an unexpected error, one without a status.
func newServerThrow(_ *world, c serverThrowConfig) (part, error) {
	return stateless(conditional(c.When, func(context.Context, *hauberk.Call, hauberk.Next) error {
		return errors.New(orBoom(c.Message))
	})), nil
}

func orBoom(message string) string {
	if message == "" {
		return "boom"
	}
	return message
}

type replyConfig struct {
	head

	When     *when    `json:"when"`
	Messages []string `json:"messages"`
}

// newReply answers calls without next.
func newReply(_ *world, c replyConfig) (part, error) {
	if c.Messages == nil {
		return part{}, errors.New("it has no messages")
	}
	return stateless(conditional(c.When, func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		if !call.Method().Known() {
			return errNotServiced()
		}
		return call.Reply(replies(call, c.Messages)...)
	})), nil
}

// replies returns messages as the responses of a call: only the first if the method has one response.
func replies(call *hauberk.Call, texts []string) (out []any) {
	if !call.Kind().ServerStreams() && len(texts) > 0 {
		texts = texts[:1]
	}
	for _, text := range texts {
		out = append(out, &pb.Resp{Msg: text})
	}
	return out
}
