package gateway_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// A method that is neither authenticated nor public is not forwarded. Status, error and decision say that the chain is
// why. The client does not learn whether the upstream has the method, nor the settings.
func TestNotOffered(t *testing.T) { eachTransport(t, notOffered) }

func notOffered(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := serve(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		t.Error("the call reaches the upstream")
		return nil
	}})
	authn := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	}), hauberk.Declaration{Name: "authn", Phase: hauberk.PhaseAuthn, Authenticates: true})
	for name, c := range map[string]struct {
		method  string
		methods []string // Config.Methods
		code    codes.Code
		text    string
	}{
		"of the upstream":     {testpb.TestService_Unary_FullMethodName, nil, codes.Unimplemented, "The policy in front of the service does not offer this method"},
		"not of the upstream": {"/made.up.Service/Method", nil, codes.Unimplemented, "The policy in front of the service does not offer this method"},
		"by descriptors": {
			testpb.TestService_Unary_FullMethodName,
			[]string{testpb.TestService_Unary_FullMethodName},
			codes.Unimplemented,
			"The policy in front of the service does not offer this method",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var outcome error
			var decisions []hauberk.Decision
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				outcome = next(ctx, call)
				decisions = call.Decisions().Recorded()
				return outcome
			})
			address := front(t, gateway.Config{
				Upstream: backend, Transport: transport, Methods: c.methods,
				Chain: hauberk.Must(hauberk.New(outer, hauberk.For("shop.v1.Cart/*", authn))),
			})
			err := dial(t, address).Invoke(t.Context(), c.method, &testpb.Request{}, new(testpb.Response))
			if s := status.Convert(err); s.Code() != c.code || !strings.HasPrefix(s.Message(), c.text) ||
				hauberk.Reason(err) != hauberk.ReasonNotOffered {
				t.Errorf("the client receives %v with the reason %q; want %v: %s…", err, hauberk.Reason(err), c.code, c.text)
			}
			text := outcome.Error()
			for cause := errors.Unwrap(outcome); cause != nil; cause = errors.Unwrap(cause) {
				text += cause.Error()
			}
			if !strings.Contains(text, "authenticate them or list them in hauberk.Config.Public") {
				t.Errorf("the chain has %q; want what to do", text)
			}
			if !slices.ContainsFunc(decisions, func(d hauberk.Decision) bool {
				return d.Verdict == hauberk.Rejected && d.Reason == hauberk.ReasonNotOffered
			}) {
				t.Errorf("the decisions are %v", decisions)
			}
		})
	}
}
