package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
)

// A file that is no regular file, or too large, is one clear error, and a good one has its folder.
func TestLoad(t *testing.T) {
	dir := folder(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none.yaml"), "the file does not exist"},
		{dir, "it is a folder; want a file"},
		{"/dev/null", "it is not a regular file"},
		{write("large.yaml", "version: 1\n"+strings.Repeat("#\n", policy.MaxSize/2)), "bytes; want at most 1048576"},
		{write("empty.yaml", ""), "the file is empty"},
	} {
		_, err := policy.Load(c.path)
		if err == nil || !strings.HasPrefix(err.Error(), c.path+":1:1: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.path, err, c.want)
		}
	}
	p, err := policy.Load(write("good.yaml",
		"version: 1\nclient:\n- {use: authn, token_file: secret}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if files := p.Files(); len(files) != 1 || files[0] != filepath.Join(dir, "secret") {
		t.Errorf("files %v", files)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// Policies leave nothing behind: neither files that are not valid, nor those that were in use.
func TestClose(t *testing.T) {
	hauberktest.CheckLeaks(t)
	dir := policy.WithDir(folder(t))
	data, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(data), "  - use: rate_limit\n    by: {cel:")
	_, after, ok := strings.Cut(rest, "shared: {fail: open, timeout: 20ms}\n")
	if !ok {
		t.Fatal("the file has no limit in Redis, whose client has goroutines that end after Close")
	}
	data = []byte(before + after)
	p, err := policy.Parse("policy.yaml", data, dir, policy.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(data), "max: 30s", "max: 30", 1)
	if _, err := policy.Parse("policy.yaml", []byte(broken), dir, policy.WithEnv(env), policy.WithPrevious(p)); err == nil {
		t.Error("the broken file is valid")
	}
	next, err := policy.Parse("policy.yaml", data, dir, policy.WithEnv(env), policy.WithPrevious(p))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*policy.Policy{p, next} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// No error has a secret, in whole, in part or quoted.
func TestSecretsAreNotShown(t *testing.T) {
	for name, secret := range map[string]string{
		"plain": "hunter2 with spaces", "quoted": "hunter2\"\n\"hunter2", "long": strings.Repeat("hunter2 ", 200),
		"a URL": "http://user:hunter2@issuer.example/token",
	} {
		t.Run(name, func(t *testing.T) {
			lookup := func(string) (string, bool) { return secret, true }
			for _, text := range []string{
				"server:\n- {use: request_id, header: \"${env:S}\"}\n",
				"server:\n- {use: transform, metadata: {remove: \"a ${env:S}\"}}\n",
				"client:\n- {use: authn, oauth2: {token_url: \"${env:S}\", client_id: a, client_secret: \"${env:S}\"}}\n",
				"server:\n- {use: rate_limit, limit: 1/1s, by: {cel: \"${env:S}\"}}\n",
				"server:\n- {use: rate_limit, limit: 1/1s, by: {metadata: \"${env:S}\"}}\n",
				"trusted_proxies: \"${env:S}\"\n", "error_domain: \"${env:S}\"\n",
				"gateway: {listen: \"${env:S}\", upstream: a}\n",
				"client:\n- {use: authn, token_file: \"${env:S}\"}\n",
				"client:\n- {use: retry, methods: [\"${env:S}\"]}\n",
			} {
				p, err := policy.Parse("policy.yaml", []byte("version: 1\n"+text), policy.WithEnv(lookup))
				if err == nil {
					_ = p.Close()
					continue // it is valid there
				}
				checkLines(t, err.Error())
			}
		})
	}
}
