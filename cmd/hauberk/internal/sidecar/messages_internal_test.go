package sidecar

import (
	"strings"
	"testing"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// coalesce is an error in the client chain, with its place, unless it is off.
func TestCheckClient(t *testing.T) {
	for text, want := range map[string]string{
		"client: [{use: coalesce}]":            "policy.yaml:2:10: coalesce does not work in the client chain",
		"client: [{use: coalesce, mode: off}]": "",
		"server: [{use: coalesce}]":            "",
		"client: [{use: cache, ttl: 1m}]":      "",
	} {
		p, err := policyfile.Parse("policy.yaml", []byte("version: 1\n"+text+"\n"), policyfile.CheckOnly())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got := checkClient(p)
		if (got == nil) != (want == "") || got != nil && !strings.HasPrefix(got.Error(), want) {
			t.Errorf("%s: %v; want %q", text, got, want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An entry that needs the contents of messages is an error with its place; others, and those that are off, are not.
func TestCheckMessages(t *testing.T) {
	const file = "file: {path: audit.jsonl}"
	for _, tt := range []struct{ entry, want string }{
		{"use: validate", "validate needs"},
		{"use: validate, mode: off", ""},
		{"use: idempotency", "idempotency needs"},
		{"use: cache, ttl: 1m", "cache needs"},
		{"use: coalesce", "coalesce needs"},
		{"use: authn, mtls: {dns_names: [.example.org]}}, {use: tenant, field: tenant", "tenant needs"},
		{"use: logging", ""},
		{"use: logging, payloads: never", ""},
		{"use: logging, payloads: always", "logging with payloads needs"},
		{"use: logging, payloads: {on: true}", "logging with payloads.on needs"},
		{"use: logging, rules: [{methods: a.B/*, payloads: true}]", "logging with rules[0].payloads needs"},
		{"use: rate_limit, limit: 1/1s, by: peer", ""},
		{"use: rate_limit, limit: 1/1s, by: {field: tenant}", "rate_limit with by.field needs"},
		{"use: rate_limit, limit: 1/1s, by: {cel: method}", ""},
		{"use: audit, " + file, ""},
		{"use: audit, requests: [{methods: a.B/*, fields: [id]}], " + file, "audit with requests[0].fields needs"},
	} {
		text := "version: 1\nserver: [{" + tt.entry + "}]\n"
		p, err := policyfile.Parse("policy.yaml", []byte(text), policyfile.CheckOnly())
		if err != nil {
			t.Fatalf("%s: %v", tt.entry, err)
		}
		got := checkMessages(p)
		if tt.want == "" && got != nil || tt.want != "" &&
			(got == nil || !strings.HasPrefix(got.Error(), "policy.yaml:2:") || !strings.Contains(got.Error(), ": "+tt.want)) {
			t.Errorf("%s: %v; want %q", tt.entry, got, tt.want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		_, err = policyfile.Parse("policy.yaml", []byte(text), policyfile.CheckOnly(), policyfile.WithCheck(checkMessages))
		if (err != nil) != (tt.want != "") {
			t.Errorf("%s: WithCheck: %v", tt.entry, err)
		}
	}
}
