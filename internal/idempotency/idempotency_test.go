package idempotency_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/idempotency"
)

const method = "hauberk.test.v1.TestService/Unary" // its .proto file has no idempotency_level

// includes reports whether methods include the method, within a call of it.
func includes(t *testing.T, m *idempotency.Methods) (included bool) {
	t.Helper()
	look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		included = m.Include(call.Method())
		return next(ctx, call)
	})
	conn := hauberk.Must(hauberk.New(look)).ClientConn(hauberktest.Conn{})
	if err := conn.Invoke(t.Context(), "/"+method, nil, new(testpb.Response)); err != nil {
		t.Fatal(err)
	}
	return included
}

// TestPrecedence: all methods, patterns, the policy and the .proto file decide in this order.
func TestPrecedence(t *testing.T) {
	policy := func(idempotent bool) *hauberk.DescriptorPolicy {
		return &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{{Method: method, Idempotent: idempotent}}}
	}
	for name, c := range map[string]struct {
		patterns []string
		all      bool
		policy   *hauberk.DescriptorPolicy
		want     bool
		source   string
	}{
		"proto":                        {nil, false, nil, false, ""},
		"pattern":                      {[]string{"hauberk.test.v1.*"}, false, nil, true, "x.Config.Methods"},
		"another pattern":              {[]string{"other.*"}, false, nil, false, ""},
		"all":                          {nil, true, nil, true, "x.Config.AllMethods"},
		"policy":                       {nil, false, policy(true), true, "the application"},
		"policy against":               {nil, false, policy(false), false, "default"},
		"pattern, policy against":      {[]string{method}, false, policy(false), true, "x.Config.Methods"},
		"all, pattern, policy against": {[]string{method}, true, policy(false), true, "x.Config.AllMethods"},
	} {
		var m idempotency.Methods
		if err := m.Parse("x", c.patterns, c.all); err != nil {
			t.Fatal(err)
		}
		m.SetPolicy(c.policy)
		if got := includes(t, &m); got != c.want {
			t.Errorf("%s: included %t, want %t", name, got, c.want)
		}
		list := m.Settings(method)
		var source string
		for _, s := range list {
			source += s.Source
		}
		if source != c.source {
			t.Errorf("%s: settings %v, want the source %q", name, list, c.source)
		}
		if list := m.Settings("another.Service/Do"); !c.all && list != nil {
			t.Errorf("%s: settings %v for a method of no policy", name, list)
		}
	}
}

// TestBadPatterns: all patterns that are wrong are reported.
func TestBadPatterns(t *testing.T) {
	err := new(idempotency.Methods).Parse("x", []string{"Get", "a.B/C", "*/Get"}, false)
	for _, want := range []string{`Config.Methods has "Get"`, `Config.Methods has "*/Get"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}
