package ratelimit_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

const nowhere = "/hauberk.nowhere.v1.Nothing/Do"

// Calls of methods that a server does not have end as they would without a
// limiter, and cost nothing.
func TestUnknownMethods(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			limit := by(oneAMinute, ratelimit.Together())
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t, ratelimit.New(limit))
			wantUnknown(t, env, codes.Unimplemented)
			wantUnknown(t, env, codes.Unimplemented)
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
			wantUnknown(t, env, codes.Unimplemented)
		})
	}
}

func TestChargeUnknown(t *testing.T) {
	for name, key := range map[string]ratelimit.Key{"together": ratelimit.Together(), "peer": ratelimit.ByPeer()} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			limit := by(oneAMinute, key)
			limit.ChargeUnknown = true
			env := hauberktest.Case{Side: hauberk.ServerSide}.Start(t, ratelimit.New(limit))
			wantUnknown(t, env, codes.Unimplemented)
			wantUnknown(t, env, codes.ResourceExhausted)
			wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		})
	}
}

func wantUnknown(t *testing.T, env *hauberktest.Env, want codes.Code) {
	t.Helper()
	wantCode(t, env.Do(t.Context(), nowhere, []*testpb.Request{{}}).Err, want)
}

// A client cannot know which methods the server has.
func TestUnknownMethodsOfClients(t *testing.T) {
	call := client(t, ratelimit.New(oneAMinute))
	wantCode(t, call(t.Context(), nowhere), codes.OK)
	wantCode(t, call(t.Context(), nowhere), codes.ResourceExhausted)
}
