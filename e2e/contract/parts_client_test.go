package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

type onlyConfig struct {
	head

	Kinds []string        `json:"kinds"`
	Inner json.RawMessage `json:"inner"`
}

// newOnly runs an interceptor only for some kinds of calls.
func newOnly(w *world, c onlyConfig) (part, error) {
	inner, err := w.part(hauberk.ClientSide, c.Inner)
	var kinds []hauberk.Kind
	for _, name := range c.Kinds {
		k, unknown := kindNamed(name)
		kinds, err = append(kinds, k), errors.Join(err, unknown)
	}
	if err != nil {
		return part{}, err
	}
	inner.interceptors = []hauberk.Interceptor{hauberk.When(func(call *hauberk.Call) bool {
		return slices.Contains(kinds, call.Kind())
	}, inner.interceptors...)}
	return inner, nil
}

type shortCircuitConfig struct {
	head

	Messages []string   `json:"messages"`
	Code     *codeNamed `json:"code"`
	Details  string     `json:"details"`
	WhenMsg  *string    `json:"when_msg"` // for single requests
}

// newShortCircuit answers calls without next, with messages or a status.
func newShortCircuit(_ *world, c shortCircuitConfig) (part, error) {
	if (c.Code == nil) == (c.Messages == nil) {
		return part{}, errors.New("want either messages or a code")
	}
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if c.WhenMsg != nil && !call.Kind().ClientStreams() {
			if req, err := call.Read(ctx); err != nil || textOf(req) != *c.WhenMsg {
				return next(ctx, call)
			}
		}
		if c.Code != nil {
			return status.Error(c.Code.code(), c.Details)
		}
		return call.Reply(replies(call, c.Messages)...)
	})), nil
}

type fallbackConfig struct {
	head

	Codes   []codeNamed `json:"codes"`
	Message string      `json:"message"`
}

// newFallback answers calls with one response if they fail with certain codes.
func newFallback(_ *world, c fallbackConfig) (part, error) {
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		failed := slices.Contains(c.Codes, codeNamed(hauberk.StatusOf(err).Code()))
		if call.Kind().ServerStreams() || !failed {
			return err
		}
		return call.Reply(replies(call, []string{c.Message})...)
	})), nil
}

type clientThrowConfig struct {
	head

	Message string `json:"message"`
	Phase   string `json:"phase"` // before the call, or after
}

// newClientThrow panics.
func newClientThrow(_ *world, c clientThrowConfig) (part, error) {
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if c.Phase == "after" {
			_ = next(ctx, call) // the outcome does not matter
		}
		panic(orBoom(c.Message))
	})), oneOf("phase", c.Phase, "", "before", "after")
}

// newTwice makes unary calls twice.
func newTwice(*world, head) (part, error) {
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Kind() == hauberk.Unary {
			_ = next(ctx, call) // the second outcome is returned
		}
		return next(ctx, call)
	})), nil
}

type cancelConfig struct {
	head

	AfterResponses int64 `json:"after_responses"`
}

// newCancel cancels a call with streamed responses after a number of them.
func newCancel(_ *world, c cancelConfig) (part, error) {
	return stateless(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if !call.Kind().ServerStreams() {
			return next(ctx, call)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var got atomic.Int64
		ended := make(chan struct{})
		call.OnReceive(func(any) (bool, error) {
			if got.Add(1) == c.AfterResponses {
				cancel()
				soon(ended)
			}
			return true, nil
		})
		defer close(ended)
		return next(ctx, call)
	})), nil
}

// soon waits for the end of a call that was cancelled, so that messages which arrived before are
// not received.
func soon(c <-chan struct{}) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}
