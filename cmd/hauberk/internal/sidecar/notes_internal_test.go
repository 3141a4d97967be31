package sidecar

import (
	"strings"
	"testing"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// Notes has the entries that a sidecar rejects, and those that do less in it, with their lines.
func TestNotes(t *testing.T) {
	const (
		server = "version: 1\nserver:\n  - {use: "
		client = "version: 1\nclient:\n  - {use: "
	)
	for _, tt := range []struct{ entry, want string }{
		{server + "validate", "line 3: validate needs the contents of messages"},
		{server + "validate, mode: off", ""},
		{client + "hedge", "line 3: hedge makes no further attempts in a sidecar"},
		{client + "hedge, mode: off", ""},
		{client + "retry", "line 3: retry repeats no calls in a sidecar without max_replay_bytes"},
		{client + "retry, mode: off", ""},
		{client + "retry, max_replay_bytes: 1", "line 3: retry repeats no calls in a sidecar without methods or all_methods"},
		{client + "retry, max_replay_bytes: 1, methods: a.B/C", ""},
		{client + "retry, max_replay_bytes: 1, methods: [a.B/C, a.D/*]", ""},
		{client + "retry, max_replay_bytes: 1, all_methods: true", ""},
		{
			server + "concurrency, limit: 1",
			"line 3: concurrency does not limit methods that the upstream has not answered yet; " +
				"want limit_unknown: true, or --descriptors",
		},
		{server + "concurrency, load: {memory_limit: 1000}", "line 3: concurrency does not limit"},
		{server + "concurrency, limit: 1, limit_unknown: true", ""},
		{server + "concurrency, limit: 1, by: peer", ""},
		{server + "concurrency, limit: 1, by: method", "line 3: concurrency does not limit"},
		{client + "concurrency, limit: 1", ""},
		{
			server + "rate_limit, limit: 1/1s, by: global",
			"line 3: rate_limit does not limit methods that the upstream has not answered yet; want charge_unknown: true",
		},
		{server + "rate_limit, limit: 1/1s, by: global, charge_unknown: true", ""},
		{server + "rate_limit, limit: 1/1s, by: peer", ""},
		{server + "rate_limit, limit: 1/1s, by: {network: {ipv4: 24, ipv6: 56}}", ""},
	} {
		for _, described := range []bool{false, true} {
			text := tt.entry + "}\n"
			if described {
				text += "gateway: {listen: 127.0.0.1:1, upstream: 127.0.0.1:2, descriptors_file: shop.pb}\n"
			}
			p, err := policyfile.Parse("C:policy.yaml", []byte(text), policyfile.CheckOnly())
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			want := tt.want
			if described && (strings.Contains(want, "does not limit") || strings.Contains(want, "needs the contents")) {
				want = ""
			}
			got := strings.Join(Notes(p), "\n")
			if !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("%s: %q; want %q", text, got, want)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
