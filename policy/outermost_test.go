package policy_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
)

// The outermost interceptor runs outside of all entries, also of none, and errors keep the lines of the entries.
func TestWithOutermost(t *testing.T) {
	var seen []string
	x := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return hauberk.Observe(ctx, call, next, func(error) {
			for _, d := range call.Decisions().Recorded() {
				seen = append(seen, d.Interceptor)
			}
		})
	})
	for text, want := range map[string][]string{
		"version: 1\n": nil,
		"version: 1\nserver: [{use: authn, api_keys: {file: keys.txt}}]\n": {"authn"},
	} {
		seen = nil
		p, err := policy.Parse("policy.yaml", []byte(text), policy.WithOutermost(x), policy.WithDir(folder(t)))
		if err != nil {
			t.Fatal(err)
		}
		_ = hauberktest.Direct{}.Server(p.Server())(t.Context())
		if !slices.Equal(seen, want) || len(p.Entries()) != len(want) {
			t.Errorf("%q: decisions of %q, entries %v", text, seen, p.Entries())
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	wrong, err := os.ReadFile("testdata/bad/authz_before_authn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, without := policy.Parse("policy.yaml", wrong, policy.WithDir(folder(t)))
	_, with := policy.Parse("policy.yaml", wrong, policy.WithDir(folder(t)), policy.WithOutermost(x))
	if without == nil || with == nil || without.Error() != with.Error() {
		t.Errorf("%v; want %v", with, without)
	}
}
