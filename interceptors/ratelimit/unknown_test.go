package ratelimit_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

const nowhere = "/hauberk.nowhere.v1.Nothing/Do"

// Calls of unknown methods end as they do without a limit, and take no permit.
func TestUnknownMethods(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			limit := by(oneAMinute, callkey.Global())
			env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.Start(t, ratelimit.New(limit))
			wantUnknown(t, env, codes.Unimplemented)
			wantUnknown(t, env, codes.Unimplemented)
			wantCode(t, env.Call(t.Context()).Err, codes.OK)
			wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
			wantUnknown(t, env, codes.Unimplemented)
		})
	}
}

// Calls of unknown methods take permits of a limit by peer, and of others by configuration.
func TestChargeUnknown(t *testing.T) {
	limits := map[string]ratelimit.Config{"global": by(oneAMinute, callkey.Global()), "peer": by(oneAMinute, callkey.Peer())}
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			limit.ChargeUnknown = name == "global"
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

// A limit by identity leaves public methods alone, since their callers have none. Other
// limits count them.
func TestPublicMethods(t *testing.T) {
	for name, test := range map[string]struct {
		key    callkey.Key
		spares bool
	}{
		"state":  {callkey.State(userKey), true},
		"own":    {callkey.Func("tenant", func(context.Context, *hauberk.Call) (string, bool) { return "a", true }, userKey), true},
		"peer":   {callkey.Peer(), false},
		"global": {callkey.Global(), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
				t.Run(kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					env := hauberktest.Case{Kind: kind}.With(hauberk.Config{Public: []string{"hauberk.test.*"}}).
						Start(t, login{}, ratelimit.New(by(oneAMinute, test.key)))
					wantCode(t, env.Call(t.Context()).Err, codes.OK)
					want := codes.ResourceExhausted
					if test.spares {
						want = codes.OK
					}
					wantCode(t, env.Call(t.Context()).Err, want)
				})
			}
		})
	}
}

// A client does not know which methods the server has.
func TestUnknownMethodsOfClients(t *testing.T) {
	call := client(t, ratelimit.New(oneAMinute))
	wantCode(t, call(t.Context(), nowhere), codes.OK)
	wantCode(t, call(t.Context(), nowhere), codes.ResourceExhausted)
}
