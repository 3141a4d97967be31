package policy_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
)

// A changed entry takes over the audit file, which has one writer until the last policy with it is closed. Changed
// settings of the file itself are an error that says what to do, and the policy before still writes.
func TestAuditFileIsHandedOver(t *testing.T) {
	dir := t.TempDir()
	records := filepath.Join(dir, "audit.jsonl")
	text := func(settings, file string) []byte {
		return fmt.Appendf(nil, "version: 1\nserver:\n  - {use: audit%s, file: {path: audit.jsonl%s}}\n"+
			"client:\n  - {use: audit, file: {path: audit.jsonl%s}}\n", settings, file, file)
	}
	parse := func(text []byte, previous *policy.Policy) (*policy.Policy, error) {
		return policy.Parse("policy.yaml", text, policy.WithDir(dir), policy.WithPrevious(previous))
	}
	call := func(p *policy.Policy, want int) {
		t.Helper()
		if err := (hauberktest.Direct{}).Server(p.Server())(context.Background()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(records)
		if n := strings.Count(string(data), "\n"); err != nil || n != want {
			t.Errorf("the file has %d records, %v; want %d", n, err, want)
		}
	}
	old, err := parse(text("", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	call(old, 1)
	next, err := parse(text(", start: all", ""), old)
	if err != nil {
		t.Fatal(err)
	}
	if kept := next.Entries(); kept[0].Kept || !kept[1].Kept {
		t.Error("the changed entry was kept, or the other one was not")
	}
	call(next, 3) // with a record of the start
	call(old, 4)  // a call that began before
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	call(next, 6)
	for name, file := range map[string]string{"mode": ", mode: \"0640\"", "size": ", max_size: 1000000"} {
		_, err := parse(text("", file), next)
		const want = `policy.yaml:3:31: .*audit\.jsonl is open with other settings of file; keep the settings, choose another path`
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	call(next, 8)
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := parse(text("", ", max_size: 1000000"), nil)
	if err != nil {
		t.Fatalf("the file is still open: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// An entry that reads a file only when it is made is made anew when the file has changed. An entry that reads it again
// itself is kept.
func TestChangedFiles(t *testing.T) {
	const text = `version: 1
server:
  - use: ext_authz
    address: dns:///127.0.0.1:1
    tls: {ca_file: tls.crt}
  - use: rate_limit
    limit: 1/1s
    redis: {addresses: ["127.0.0.1:1"], name: shop, tls: {ca_file: tls.crt}}
    mode: shadow
  - use: authn
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: RS256, jwks_file: jwks.json}
`
	dir := folder(t)
	parse := func(previous *policy.Policy) *policy.Policy {
		t.Helper()
		p, err := policy.Parse("policy.yaml", []byte(text), policy.WithDir(dir), policy.WithPrevious(previous),
			policy.CheckOnly())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := parse(nil)
	for name, want := range map[string]string{
		"none": "ext_authz rate_limit authn", "tls.crt": "authn", "jwks.json": "ext_authz rate_limit authn",
	} {
		previous := parse(first)
		if name != "none" {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		next := parse(previous)
		if got := strings.Join(kept(next), " "); got != want {
			t.Errorf("%s: kept %s; want %s", name, got, want)
		}
		for _, p := range []*policy.Policy{first, previous} {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		first = next
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}
