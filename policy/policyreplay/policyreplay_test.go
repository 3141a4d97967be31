package policyreplay_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policyreplay"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

const old = `version: 1
public: [shop.v1.Catalog/*]
server:
  - use: logging
    identity: {on: true, claims: [plan]}
    metadata: {request: true}
  - {use: rate_limit, id: peers, by: peer, limit: 3/1m}
  - use: authn
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: ES256, jwks_url: https://issuer.example/keys, roles_claim: roles}
  - use: authz
    rules:
      - {name: buyers, allow: shop.v1.Cart/*, roles: [buyer]}
`

const cases = `
cases:
  - {method: shop.v1.Catalog/List, peer: 192.0.2.1, time: "2026-01-01T12:00:00Z", calls: 4}
  - {method: shop.v1.Cart/Get, peer: 192.0.2.2, time: "2026-01-01T12:01:00Z"}
  - {method: shop.v1.Cart/Get, peer: 192.0.2.3, time: "2026-01-01T12:02:00Z", metadata: {x-client: web},
     identity: {subject: anna, method: jwt, roles: buyer, claims: {plan: gold, level: 3}}}
  - {method: shop.v1.Cart/Pay, peer: 192.0.2.4, time: "2026-01-01T12:03:00Z", metadata: {x-token: secret},
     identity: {subject: bert, method: jwt, roles: seller}}
  - {method: shop.v1.Cart/Get, kind: server_stream, peer: 192.0.2.5, time: "2026-01-01T12:04:00Z",
     identity: {subject: carl, method: jwt, roles: buyer}, upstream: NOT_FOUND}
`

// record makes the calls of cases with a policy, and returns its log.
func record(t *testing.T) []byte {
	t.Helper()
	var log bytes.Buffer
	all, err := policytest.Parse("cases.yaml", []byte(cases))
	if err != nil {
		t.Fatal(err)
	}
	_, err = policytest.Run(all, func(opts ...policy.Option) (*policy.Policy, error) {
		return policy.Parse("old.yaml", []byte(old),
			append(opts, policy.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))...)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return log.Bytes()
}

// replay decides a log by a policy, and describes the differences, a line each.
func replay(t *testing.T, log []byte, text string) (*policyreplay.Report, string) {
	t.Helper()
	read, err := policyreplay.Read(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	report, err := policyreplay.Run(read, func(opts ...policy.Option) (*policy.Policy, error) {
		return policy.Parse("new.yaml", []byte(text), append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))...)
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range report.Differences {
		d := &report.Differences[i]
		outcome := d.After.String()
		if d.Undecided != "" {
			outcome = d.Undecided
		}
		fmt.Fprintf(&b, "%d %s: %s, %s\n", d.Line, d.Caller(), d.Before, outcome)
	}
	return report, b.String()
}

// The policy that wrote a log decides its calls as recorded, and a changed one shows what changes and what the log
// does not say.
func TestReplay(t *testing.T) {
	log := record(t)
	for _, c := range []struct{ name, from, to, want string }{
		{"the same policy", "", "", ""},
		{"a smaller limit", "limit: 3/1m", "limit: 2/1m", "3 192.0.2.1: admitted, rejected RESOURCE_EXHAUSTED RATE_LIMITED\n"},
		{"a larger limit", "limit: 3/1m", "limit: 4/1m", "4 192.0.2.1: rejected RESOURCE_EXHAUSTED RATE_LIMITED, admitted\n"},
		{"another role", "roles: [buyer]", "roles: [seller]", "6 anna: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, admitted\n8 carl: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n"},
		{"a claim", "roles: [buyer]", "when: claims.plan == 'gold'", "8 carl: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n"},
		{"a claim that is not logged", "roles: [buyer]", "when: claims.level == 3", "6 anna: admitted, no claim \"level\" (line 10: authz)\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, no claim \"level\" (line 10: authz)\n8 carl: admitted, no claim \"level\" (line 10: authz)\n"},
		{"metadata", "roles: [buyer]", "metadata: [{key: x-client, values: [web]}]", "8 carl: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n"},
		{"redacted metadata", "roles: [buyer]", "metadata: [{key: x-token, values: [secret]}]", "6 anna: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, no value of the metadata \"x-token\" (line 10: authz)\n8 carl: admitted, rejected PERMISSION_DENIED ACCESS_DENIED\n"},
		{"a message", "roles: [buyer]", "when: request.amount > 3, request: true", "6 anna: admitted, no message (line 10: authz)\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, no message (line 10: authz)\n8 carl: admitted, no message (line 10: authz)\n"},
		{"certificates", "roles: [buyer]", "principals: [a]", "6 anna: admitted, no certificate (line 10: authz)\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, no certificate (line 10: authz)\n8 carl: admitted, no certificate (line 10: authz)\n"},
		{"rules of other methods", "roles: [buyer]", "roles: [buyer]}\n      - {name: mail, allow: shop.v1.Mail/*, when: claims.level == 3", ""},
		{"not public any more", "Catalog/*", "Other/*", "1 192.0.2.1: admitted, no identity (line 8: authn)\n" +
			"2 192.0.2.1: admitted, no identity (line 8: authn)\n3 192.0.2.1: admitted, no identity (line 8: authn)\n"},
		{"public", "Catalog/*", "*", "5 192.0.2.2: rejected UNAUTHENTICATED MISSING_TOKEN, admitted\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, admitted\n"},
		{"a version", "  - use: authn", "  - {use: version, metadata: x-client, rules: [{versions: \">1\"}], reject_unknown: true}\n  - use: authn", "1 192.0.2.1: admitted, no metadata (line 8: version)\n" +
			"2 192.0.2.1: admitted, no metadata (line 8: version)\n3 192.0.2.1: admitted, no metadata (line 8: version)\n" +
			"5 192.0.2.2: rejected UNAUTHENTICATED MISSING_TOKEN, no metadata (line 8: version)\n" +
			"6 anna: admitted, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN\n" +
			"7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN\n" +
			"8 carl: admitted, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN\n"},
		{"an undecided call and an inner limit", "roles: [buyer]}", "when: \"claims.level == 3 || true\"}\n  - {use: rate_limit, by: user, limit: 1/1s, methods: [shop.v1.Cart/*]}",
			"6 anna: admitted, no claim \"level\" (line 10: authz)\n7 bert: rejected PERMISSION_DENIED ACCESS_DENIED, no claim \"level\" (line 10: authz)\n8 carl: admitted, no claim \"level\" (line 10: authz)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, got := replay(t, log, strings.Replace(old, c.from, c.to, 1))
			if got != c.want {
				t.Errorf("the differences are\n%s; want\n%s", got, c.want)
			}
			if n := strings.Count(got, "\n"); report.Calls != 8 || report.Differ+report.Undecided != n {
				t.Errorf("%+v", report)
			}
		})
	}
}

// A limit that may have counted a call that cannot be decided decides no call until its permits have returned.
func TestUncertainLimits(t *testing.T) {
	var log bytes.Buffer
	line := func(second int, method, identity string) {
		at := time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC)
		fmt.Fprintf(&log, `{"time":%q,"msg":"call ended","rpc.side":"server","rpc.method":"a.B/%s","rpc.kind":"unary",`+
			`"rpc.response.status_code":"OK","rpc.duration":1000,"network.peer.address":"192.0.2.1","network.peer.port":1%s}`+"\n",
			at.Format(time.RFC3339Nano), method, identity)
	}
	const anna = `,"hauberk.identity":{"subject":"anna"}`
	line(1, "Get", "")
	line(2, "Get", anna)
	line(3, "Other", anna)
	line(20, "Get", anna)
	line(41, "Get", anna)
	line(50, "Get", anna)
	line(51, "Get", anna)
	report, got := replay(t, log.Bytes(), `version: 1
server:
  - use: authn
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: ES256, jwks_url: https://issuer.example/keys, roles_claim: roles}
  - {use: rate_limit, by: user, limit: 1/10s, methods: [a.B/Get]}
  - {use: concurrency, limit: 1}
`)
	want := "1 192.0.2.1: admitted, no identity (line 3: authn)\n" +
		"2 anna: admitted, the limit may have counted a call that cannot be decided (line 5: rate_limit)\n" +
		"4 anna: admitted, the limit may have counted a call that cannot be decided (line 5: rate_limit)\n" +
		"6 anna: admitted, rejected RESOURCE_EXHAUSTED RATE_LIMITED\n"
	// The call of second 51 is decided, and admitted as recorded.
	if got != want || fmt.Sprint(report.NotReplayed) != "[line 6: concurrency]" {
		t.Errorf("the differences are\n%sand %q is not replayed; want\n%s", got, report.NotReplayed, want)
	}
}

// Lines that are no records of calls of servers are counted, and calls are in the order in which they began.
func TestRead(t *testing.T) {
	const log = `not JSON
{"time":"2026-01-01T12:00:09Z","msg":"call ended","rpc.side":"server","rpc.method":"a.B/Late","rpc.response.status_code":"OK","rpc.duration":1000000000}
{"time":"2026-01-01T12:00:10Z","msg":"call ended","rpc.side":"server","rpc.method":"a.B/Early","rpc.response.status_code":"OK","rpc.duration":9000000000,"rpc.request.metadata":{"a":["1","2"],"b":"3","c":"[redacted]","d":"cut…","…":2}}
{"time":"2026-01-01T12:00:09Z","msg":"call ended","rpc.side":"client","rpc.method":"a.B/C","rpc.response.status_code":"OK"}
{"time":"2026-01-01T12:00:09Z","msg":"call started","rpc.side":"server","rpc.method":"a.B/C"}
`
	read, err := policyreplay.Read(strings.NewReader(log + strings.Repeat("x", policyreplay.MaxLine+5) + "\n{}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(read.Records) != 2 || read.Skipped != 5 || read.Records[0].Method != "/a.B/Early" || read.Records[0].Line != 3 {
		t.Fatalf("%+v", read)
	}
	r := read.Records[0]
	if got := fmt.Sprint(r.Metadata, r.Partly, r.Cut); got != "map[a:[1 2] b:[3]] map[c:true d:true] true" {
		t.Error(got)
	}
}

// No log makes Read or Run panic, and each call is the same, differs or cannot be decided.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-01T12:00:09Z","msg":"call ended","rpc.side":"server","rpc.method":"shop.v1.Cart/Get",` +
		`"rpc.response.status_code":"OK","hauberk.identity":{"subject":"a","claims":{"plan":null}},"network.peer.address":"::1"}`))
	p := strings.Replace(old, "  - use: logging\n    identity: {on: true, claims: [plan]}\n    metadata: {request: true}\n", "", 1)
	f.Fuzz(func(t *testing.T, log []byte) {
		report, _ := replay(t, log, p)
		if report.Differ+report.Undecided != len(report.Differences) || report.Calls < len(report.Differences) {
			t.Errorf("%+v", report)
		}
	})
}
