package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// method is an authn.Method with a fixed result.
type method struct {
	id  *authn.Identity
	err error
	ran *[]string
}

func (m method) Name() string { return "fixed" }

func (m method) Authenticate(context.Context, *hauberk.Call) (*authn.Identity, error) {
	*m.ran = append(*m.ran, m.id.String())
	if m.err != nil {
		return nil, m.err
	}
	return m.id, nil
}

// TestMethods: the first method with a credential decides, and no later one runs.
func TestMethods(t *testing.T) {
	none, other := fmt.Errorf("no key: %w", authn.ErrNoCredential), fmt.Errorf("not a JWT: %w", authn.ErrOtherMethod)
	own := hauberk.Reject(codes.Unauthenticated, "MISSING_KEY", "Missing key")
	own.Cause = authn.ErrNoCredential
	for name, test := range map[string]struct {
		errs    [3]error // of the methods a, b and c
		ran     int
		admits  string
		message string
		reason  string
		cause   error
	}{
		"the first":                    {[3]error{nil, nil, nil}, 1, "a", "", "", nil},
		"the second":                   {[3]error{none, nil, nil}, 2, "b", "", "", nil},
		"the last":                     {[3]error{none, other, nil}, 3, "c", "", "", nil},
		"a failing one is not passed":  {[3]error{none, authn.ErrInvalidToken, nil}, 2, "", "Invalid token", authn.ReasonInvalidToken, authn.ErrInvalidToken},
		"an expired one is not passed": {[3]error{authn.ErrTokenExpired, nil, nil}, 1, "", "Token expired", authn.ReasonTokenExpired, authn.ErrTokenExpired},
		"a revoked one is not passed":  {[3]error{authn.ErrTokenRevoked, nil, nil}, 1, "", "Token revoked", authn.ReasonTokenRevoked, authn.ErrTokenRevoked},
		"none has a credential":        {[3]error{none, none, none}, 3, "", "Missing or invalid token", authn.ReasonMissingToken, authn.ErrNoCredential},
		"none, with its own text":      {[3]error{own, none, none}, 3, "", "Missing key", "MISSING_KEY", authn.ErrNoCredential},
		"no method judges it":          {[3]error{none, other, none}, 3, "", "Invalid token", authn.ReasonInvalidToken, authn.ErrOtherMethod},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var w witness
				var ran []string
				methods := make([]authn.Method, len(test.errs))
				for i, err := range test.errs {
					methods[i] = method{&authn.Identity{Subject: string(rune('a' + i))}, err, &ran}
				}
				out := w.serve(t.Context(), t, kind, authn.New(authn.Config{}, methods...))
				if len(ran) != test.ran {
					t.Errorf("the methods %v ran; want the first %d", ran, test.ran)
				}
				if test.admits != "" {
					if out.Err != nil || w.user != test.admits {
						t.Errorf("%v for the user %q; want OK for %q", out.Err, w.user, test.admits)
					}
					return
				}
				wantStatus(t, out.Err, codes.Unauthenticated, test.message)
				if got := hauberk.Reason(out.Err); got != test.reason {
					t.Errorf("reason %q; want %q", got, test.reason)
				}
				if !errors.Is(w.err, test.cause) || w.inner || w.handled {
					t.Errorf("the outcome is %v, inner %v, handled %v; want %v and no inner part", w.err, w.inner, w.handled, test.cause)
				}
			})
		})
	}
}

// judge is a method of bearer tokens that judges all of them, or not.
type judge bool

func (judge) Name() string       { return "judge" }
func (judge) Credential() string { return "authorization" }
func (j judge) JudgesAll() bool  { return bool(j) }

func (judge) Authenticate(context.Context, *hauberk.Call) (*authn.Identity, error) {
	return nil, authn.ErrOtherMethod
}

// TestMethodThatNeverRuns: a method after one that judges every credential of its kind is an error.
func TestMethodThatNeverRuns(t *testing.T) {
	bearer, keys := authn.Bearer(check), judge(false)
	for name, test := range map[string]struct {
		methods []authn.Method
		want    string // "" if the methods are good
	}{
		"it is the last":     {[]authn.Method{bearer, judge(true)}, ""},
		"it leaves some":     {[]authn.Method{judge(false), bearer}, ""},
		"another credential": {[]authn.Method{judge(true), passes{}}, ""},
		"the same":           {[]authn.Method{passes{}, judge(true), bearer}, `method 3, bearer, never runs: method 2, judge, judges every "authorization"`},
		"one between":        {[]authn.Method{judge(true), passes{}, keys}, "method 3, judge, never runs: method 1, judge"},
	} {
		_, err := hauberk.New(authn.New(authn.Config{}, test.methods...))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

// expiring is a method that returns an identity. It reports whether it has compared the expiry.
type expiring struct {
	judge

	id     authn.Identity
	judges bool
}

func (e *expiring) JudgesExpiry() bool { return e.judges }

func (e *expiring) Authenticate(context.Context, *hauberk.Call) (*authn.Identity, error) {
	return &e.id, nil
}

// TestJudgesExpiry: an identity that has expired is rejected, unless its method reports that it returns none. One
// that was revoked always is.
func TestJudgesExpiry(t *testing.T) {
	past, revoked := time.Now().Add(-time.Minute), make(chan struct{})
	close(revoked)
	for name, test := range map[string]struct {
		method expiring
		want   codes.Code
	}{
		"expired":           {expiring{id: authn.Identity{Subject: "alice", Expires: past}}, codes.Unauthenticated},
		"expired, judged":   {expiring{id: authn.Identity{Subject: "alice", Expires: past}, judges: true}, codes.OK},
		"revoked":           {expiring{id: authn.Identity{Subject: "alice", Revoked: revoked}}, codes.Unauthenticated},
		"revoked, judged":   {expiring{id: authn.Identity{Subject: "alice", Revoked: revoked}, judges: true}, codes.Unauthenticated},
		"unlimited, judged": {expiring{id: authn.Identity{Subject: "alice"}, judges: true}, codes.OK},
	} {
		call := (hauberktest.Direct{}).Server(hauberk.Must(hauberk.New(authn.New(authn.Config{}, &test.method))))
		if err := call(t.Context()); hauberk.CodeOf(err) != test.want {
			t.Errorf("%s: %v; want %s", name, err, test.want)
		}
	}
}

// passes is a method that does not name its credential.
type passes struct{}

func (passes) Name() string { return "passes" }

func (passes) Authenticate(context.Context, *hauberk.Call) (*authn.Identity, error) {
	return nil, authn.ErrNoCredential
}

// endless is an error that wraps itself.
type endless struct{}

func (e *endless) Error() string { return e.Unwrap().Error() }
func (e *endless) Unwrap() error { return e }

// An error that wraps itself, of a method or a token source, is a failure, and ends.
func TestEndlessErrors(t *testing.T) {
	validate := func(context.Context, string) (*authn.Identity, error) { return nil, new(endless) }
	source := authn.TokenFunc(func(context.Context) (string, error) { return "", new(endless) })
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var w witness
		env := server(kind).StartWith(t, w.backend(), w.outer(), authn.New(authn.Config{}, authn.Bearer(validate)), w.interceptor())
		out := env.Call(with(t.Context(), "Bearer good"))
		if code := hauberk.CodeOf(out.Err); code != codes.Unavailable || w.inner || w.handled || !errors.Is(w.err, hauberk.ErrEndless) {
			t.Errorf("%v, outcome %v, handler %t; want UNAVAILABLE and ErrEndless", out.Err, w.err, w.handled)
		}
		env = client(kind).Start(t, authn.NewClient(source, authn.ClientConfig{AllowClearText: true}))
		if err := env.Call(t.Context()).Err; hauberk.Reason(err) != authn.ReasonNoToken || !errors.Is(err, hauberk.ErrEndless) {
			t.Errorf("%v; want %s and ErrEndless", err, authn.ReasonNoToken)
		}
	})
}
