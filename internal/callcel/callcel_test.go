package callcel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// language is one whose expressions return a bool.
func language() *callcel.Language {
	return &callcel.Language{
		MaxLength: 1000, MaxCost: 100_000, OneValue: "one value", Hint: func(string) string { return "a hint" },
		Result: func(t *cel.Type) error {
			if !t.IsExactType(cel.BoolType) {
				return errors.New("no bool")
			}
			return nil
		},
	}
}

func compile(t *testing.T, text string) (*callcel.Program, *cel.Ast) {
	t.Helper()
	l := language()
	env, err := l.Env(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ast, err := l.Check(env, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	program, err := l.Program(env, ast, text)
	if err != nil {
		t.Fatal(err)
	}
	return program, ast
}

// An expression that uses metadata by literal keys is given the values of these keys only. Its value is
// the same as with all metadata.
func TestMetadataKeys(t *testing.T) {
	for _, c := range []struct {
		text string
		keys string // separated by commas; "*" is all
		want string // the result, or "error"
	}{
		{`true`, "", "true"},
		{`"metadata" == service`, "", "false"},
		{`metadata.a.exists(v, v == "1")`, "a", "true"},
		{`metadata["x-b"].exists(v, v == "1")`, "x-b", "false"},
		{`"a" in metadata`, "a", "true"},
		{`"c" in metadata`, "c", "false"},
		{`has(metadata.a) && !has(metadata.c)`, "a,c", "true"},
		{`metadata.c.exists(v, v == "1")`, "c", "error"},
		{`metadata.a == metadata["a"] && "a" in metadata`, "a", "true"},
		{`metadata.a.exists(a, a == "2") && metadata["x-b"].exists(b, b == "3")`, "a,x-b", "true"},
		{`["a", "b"].exists(k, k in metadata)`, "*", "true"},
		{`metadata.exists(k, k == "a")`, "*", "true"},
		{`metadata.exists(k, size(metadata[k]) == 2)`, "*", "true"},
		{`size(metadata) == 2`, "*", "true"},
		{`metadata == metadata`, "*", "true"},
		{`(size(service) > 0 ? metadata : metadata).a.exists(v, v == "1")`, "*", "true"},
		{`identity.roles.exists(metadata, metadata == "a")`, "", "error"},
		{`dyn(metadata)["a"] == ["1", "2"]`, "*", "true"},
	} {
		program, ast := compile(t, c.text)
		keys, all := callcel.MetadataKeys(ast)
		got := strings.Join(keys, ",")
		if all {
			got = "*"
		}
		if got != c.keys {
			t.Errorf("%s: keys %s, want %s", c.text, got, c.keys)
		}
		if all {
			keys = nil
		}
		for _, keys := range [][]string{nil, keys} {
			for _, side := range []hauberk.Side{hauberk.ServerSide, hauberk.ClientSide} {
				within(t, side, func(ctx context.Context, call *hauberk.Call) {
					v := &callcel.Variables{Ctx: ctx, Call: call, Clock: time.Now, Keys: keys}
					for range 2 { // the second time after Reset
						result := "error"
						if value, err := program.Eval(v); err == nil {
							result = map[any]string{true: "true", false: "false"}[value.Value()]
						}
						if result != c.want {
							t.Errorf("%s with the keys %q on a %v: %s, want %s", c.text, keys, side, result, c.want)
						}
						v.Reset()
						v.Ctx, v.Call = ctx, call
					}
				})
			}
		}
	}
}

// within runs f in a call with metadata.
func within(t *testing.T, side hauberk.Side, f func(ctx context.Context, call *hauberk.Call)) {
	t.Helper()
	ran := false
	chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		ran = true
		f(ctx, call)
		return next(ctx, call)
	})))
	md := metadata.Pairs("A", "1", "a", "2", "x-b", "3")
	var err error
	if side == hauberk.ServerSide {
		err = (hauberktest.Direct{}).Server(chain)(metadata.NewIncomingContext(t.Context(), md))
	} else {
		err = (hauberktest.Direct{}).Client(chain)(metadata.NewOutgoingContext(t.Context(), md))
	}
	if err != nil || !ran {
		t.Fatalf("%v, ran: %t", err, ran)
	}
}

// Reset forgets the values of the call before.
func TestReset(t *testing.T) {
	program, ast := compile(t, `"a" in metadata && has(identity.subject) && client_addr == "192.0.2.1"`)
	keys, _ := callcel.MetadataKeys(ast)
	v := &callcel.Variables{Clock: time.Now, Keys: keys}
	within(t, hauberk.ServerSide, func(ctx context.Context, call *hauberk.Call) {
		v.Ctx, v.Call, v.Identity = ctx, call, &hauberk.Identity{Subject: "alice"}
		_, _ = program.Eval(v)
		v.Reset()
		if v.Ctx != nil || v.Call != nil || v.Identity != nil || v.Addr.IsValid() || v.Clock == nil || len(v.Keys) != 1 {
			t.Errorf("after Reset: %+v", v)
		}
		v.Ctx, v.Call = t.Context(), call // without metadata
		if value, err := program.Eval(v); err != nil || fmt.Sprint(value.Value()) != "false" {
			t.Errorf("%v, %v", value, err)
		}
	})
}

// Errors of the compiler have their place and a hint.
func TestHints(t *testing.T) {
	l := language()
	env, err := l.Env(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`true &&` + "\n" + ` user`: "2:2: undeclared reference to 'user'",
		`request.a == 1`:           "; a hint",
		`1`:                        "no bool",
		`metadata.a[0] == "x"`:     "one value",
		strings.Repeat(" ", 1001):  "it has 1001 bytes; want at most 1000",
	} {
		if _, err := l.Check(env, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %q", text, err, want)
		}
	}
}

// An identity without a subject is none.
func TestIdentityOf(t *testing.T) {
	within(t, hauberk.ServerSide, func(_ context.Context, call *hauberk.Call) {
		for _, id := range []*hauberk.Identity{nil, {Tenant: "acme"}, {Subject: "alice"}} {
			hauberk.IdentityKey.Set(call, id)
			got := callcel.IdentityOf(call)
			if want := id != nil && id.Subject != ""; (got != nil) != want {
				t.Errorf("%+v: %+v", id, got)
			}
		}
	})
}
