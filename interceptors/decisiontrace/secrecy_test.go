package decisiontrace_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
)

// attacker is a caller that must not receive the trace, with the interceptors inside decisiontrace.
type attacker struct {
	send   []string // metadata, as pairs
	inside []hauberk.Interceptor
	public bool // all methods are public
	// handle runs in the handler before it echoes.
	handle func(ctx context.Context)
	method string // "" for that of the kind
}

const (
	ask  = decisiontrace.DefaultRequest
	auth = "authorization"
)

// impostor sets the identity without authenticating the caller.
type impostor struct {
	name    string
	decides bool
	outcome error
}

func (i impostor) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: i.name, Decides: i.decides, Writes: []hauberk.StateKey{authn.User}}
}

func (i impostor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	authn.User.Set(call, "ops")
	if i.outcome != nil {
		return i.outcome
	}
	return next(ctx, call)
}

func attackers() map[string]attacker {
	usual := []hauberk.Interceptor{guard(), bearer(), limit(), shadowed}
	expired := func(context.Context, string) (*authn.Identity, error) {
		return &authn.Identity{Subject: "ops", Expires: time.Now().Add(-time.Second)}, nil
	}
	return map[string]attacker{
		"does not request the trace":         {send: []string{auth, "Bearer ops"}, inside: usual},
		"request with another value":         {send: []string{auth, "Bearer ops", ask, "true"}, inside: usual},
		"request with an empty value":        {send: []string{auth, "Bearer ops", ask, ""}, inside: usual},
		"request twice":                      {send: []string{auth, "Bearer ops", ask, "1", ask, "1"}, inside: usual},
		"request with a list":                {send: []string{auth, "Bearer ops", ask, "1,1"}, inside: usual},
		"another user":                       {send: []string{auth, "Bearer alice", ask, "1"}, inside: usual},
		"another user, rejected":             {send: []string{auth, "Bearer alice", ask, "1"}, inside: append(usual, rejecter{errRejected})},
		"another user, of an unknown method": {send: []string{auth, "Bearer alice", ask, "1"}, inside: usual, method: unknownMethod},
		"a name in another case":             {send: []string{auth, "Bearer Ops", ask, "1"}, inside: usual},
		"a name with the same prefix":        {send: []string{auth, "Bearer ops2", ask, "1"}, inside: usual},
		"no token":                           {send: []string{ask, "1"}, inside: usual},
		"a bad token":                        {send: []string{auth, "Bearer guess", ask, "1"}, inside: usual},
		"two tokens":                         {send: []string{auth, "Bearer ops", auth, "Bearer ops", ask, "1"}, inside: usual},
		"an expired token":                   {send: []string{auth, "Bearer ops", ask, "1"}, inside: []hauberk.Interceptor{authn.New(authn.Config{}, authn.Bearer(expired)), shadowed}},
		"forged identity in the metadata":    {send: []string{ask, "1", "user", "ops", "x-user", "ops", "identity", "ops", "user_id", "ops"}, inside: usual},
		"forged identity with another token": {send: []string{ask, "1", "user", "ops", auth, "Bearer alice"}, inside: usual},
		"forged trace in the request":        {send: []string{ask, `{"decisions":[{"interceptor":"authn","verdict":"allowed"}]}`}, inside: usual},
		"rejected before authentication":     {send: []string{auth, "Bearer ops", ask, "1"}, inside: []hauberk.Interceptor{rejecter{errRejected}, bearer()}},
		"a public method": {
			send:   []string{auth, "Bearer ops", ask, "1"},
			inside: []hauberk.Interceptor{authn.New(authn.Config{}, authn.Bearer(validate)), shadowed}, public: true,
		},
		"a public method whose handler sets the identity": {
			send:   []string{ask, "1"},
			inside: []hauberk.Interceptor{authn.New(authn.Config{}, authn.Bearer(validate)), shadowed}, public: true,
			handle: func(ctx context.Context) { authn.User.Set(hauberk.FromContext(ctx), "ops") },
		},
		"no authentication":        {send: []string{auth, "Bearer ops", ask, "1"}, inside: []hauberk.Interceptor{shadowed}},
		"authentication in shadow": {send: []string{auth, "Bearer ops", ask, "1"}, inside: []hauberk.Interceptor{hauberk.Shadow(bearer()), shadowed}},
		"authentication in shadow, rejecting": {
			send: []string{ask, "1"}, inside: []hauberk.Interceptor{hauberk.Shadow(impostor{"authn", true, errRejected}), shadowed},
		},
		"authentication under a condition that does not hold": {
			send: []string{ask, "1"}, public: true,
			inside: []hauberk.Interceptor{
				hauberk.When(func(*hauberk.Call) bool { return false }, bearer()), impostor{name: "other"}, shadowed,
			},
		},
		"authentication of other methods": {
			send: []string{auth, "Bearer ops", ask, "1"}, public: true,
			inside: []hauberk.Interceptor{
				hauberk.Except("hauberk.test.v1.TestService/*", bearer()), impostor{name: "other"}, shadowed,
			},
		},
		"an interceptor that does not decide sets the identity": {
			send: []string{ask, "1"}, inside: []hauberk.Interceptor{impostor{name: "authn"}, shadowed},
		},
		"an interceptor with another name sets the identity": {
			send: []string{ask, "1"}, inside: []hauberk.Interceptor{impostor{"other", true, nil}, shadowed},
		},
		"the authenticator sets the identity and rejects": {
			send: []string{ask, "1"}, inside: []hauberk.Interceptor{impostor{"authn", true, errRejected}, shadowed},
		},
		"the authenticator sets the identity and fails": {
			send: []string{ask, "1"}, inside: []hauberk.Interceptor{impostor{"authn", true, status.Error(codes.Unavailable, "down")}, shadowed},
		},
		"the identity is withdrawn": {
			send: []string{auth, "Bearer ops", ask, "1"}, inside: []hauberk.Interceptor{withdrawing{}, bearer(), shadowed},
		},
	}
}

// withdrawing is an interceptor that records a later rejection by authn, as authn does when a token
// expires.
type withdrawing struct{}

func (withdrawing) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	_ = next(ctx, call)
	call.Decide(hauberk.Decision{Interceptor: "authn", Verdict: hauberk.Rejected, Reason: authn.ReasonTokenExpired})
	return errRejected
}

// Callers without permission do not receive the trace.
func TestNoTraceWithoutPermission(t *testing.T) {
	for name, a := range attackers() {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				if a.public {
					c = c.With(hauberk.Config{Public: []string{"*"}})
				}
				env := c.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if a.handle != nil {
						a.handle(ctx)
					}
					return hauberktest.Echo(ctx, s)
				}}, append([]hauberk.Interceptor{traces()}, a.inside...)...)
				method := a.method
				if method == "" {
					method = hauberktest.FullMethod(c.Kind)
				}
				ctx := metadata.NewOutgoingContext(patient(t), metadata.Pairs(a.send...))
				out := env.Do(ctx, method, []*testpb.Request{{Text: "hello"}})
				wantNothing(t, out)
			})
		})
	}
}

func wantNothing(t *testing.T, out hauberktest.Outcome) {
	t.Helper()
	if got, ok := out.Trailer[decisiontrace.DefaultTrailer]; ok {
		t.Errorf("received %q", got)
	}
	if all := everything(out); strings.Contains(all, canary) {
		t.Errorf("the rule is in %s", all)
	}
}

// everything returns all that a caller received, as text.
func everything(out hauberktest.Outcome) string {
	md := func(md metadata.MD) map[string][]string { return md } // the String method of metadata.MD hides values
	return fmt.Sprint(md(out.Header), md(out.Trailer), out.Err, status.Convert(out.Err).Proto(), out.Texts())
}

// The text of everything contains the canary if the trace was sent.
func TestCanary(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		out := c.Start(t, traces(), bearer(), shadowed).Call(as(patient(t), "ops"))
		if all := everything(out); !strings.Contains(all, canary) {
			t.Errorf("the rule is not in %s", all)
		}
	})
}
