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
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: ES256, jwks_url: https://issuer.example/keys,
          roles_claim: roles}
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
	parsed, err := policytest.Parse("cases.yaml", []byte(cases))
	if err != nil {
		t.Fatal(err)
	}
	_, err = policytest.Run(parsed, func(opts ...policy.Option) (*policy.Policy, error) {
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
	return report, strings.NewReplacer("rejected PERMISSION_DENIED ACCESS_DENIED", "denied",
		"rejected RESOURCE_EXHAUSTED RATE_LIMITED", "limited").Replace(b.String())
}

// all returns the differences if none of the calls with an identity can be decided.
func all(why string) []string {
	return []string{"6 anna: admitted, " + why, "7 bert: denied, " + why, "8 carl: admitted, " + why}
}

// The policy that wrote a log decides its calls as recorded, and a changed one shows what changes and what the log
// does not say.
func TestReplay(t *testing.T) {
	log := record(t)
	const roles = "roles: [buyer]"
	for _, c := range []struct {
		name, from, to string
		want           []string
	}{
		{"the same policy", "", "", nil},
		{"a smaller limit", "limit: 3/1m", "limit: 2/1m", []string{"3 192.0.2.1: admitted, limited"}},
		{"a larger limit", "limit: 3/1m", "limit: 4/1m", []string{"4 192.0.2.1: limited, admitted"}},
		{"another role", roles, "roles: [seller]", []string{
			"6 anna: admitted, denied", "7 bert: denied, admitted", "8 carl: admitted, denied",
		}},
		{"a claim", roles, "when: claims.plan == 'gold'", []string{"8 carl: admitted, denied"}},
		{"a claim that is not logged", roles, "when: claims.level == 3", all(`no claim "level" (line 11: authz)`)},
		{"metadata", roles, "metadata: [{key: x-client, values: [web]}]", []string{"8 carl: admitted, denied"}},
		{"redacted metadata", roles, "metadata: [{key: x-token, values: [secret]}]", []string{
			"6 anna: admitted, denied", `7 bert: denied, no value of the metadata "x-token" (line 11: authz)`,
			"8 carl: admitted, denied",
		}},
		{"a message", roles, "when: request.amount > 3, request: true", all("no message (line 11: authz)")},
		{"certificates", roles, "principals: [a]", all("no certificate (line 11: authz)")},
		{
			"rules of other methods", roles,
			roles + "}\n      - {name: mail, allow: shop.v1.Mail/*, when: claims.level == 3", nil,
		},
		{"not public any more", "Catalog/*", "Other/*", []string{
			"1 192.0.2.1: admitted, no identity (line 8: authn)", "2 192.0.2.1: admitted, no identity (line 8: authn)",
			"3 192.0.2.1: admitted, no identity (line 8: authn)",
		}},
		{"public", "Catalog/*", "*", []string{
			"5 192.0.2.2: rejected UNAUTHENTICATED MISSING_TOKEN, admitted", "7 bert: denied, admitted",
		}},
		{
			"a version", "  - use: authn",
			"  - {use: version, metadata: x-client, rules: [{versions: \">1\"}], reject_unknown: true}\n  - use: authn",
			[]string{
				"1 192.0.2.1: admitted, no metadata (line 8: version)", "2 192.0.2.1: admitted, no metadata (line 8: version)",
				"3 192.0.2.1: admitted, no metadata (line 8: version)",
				"5 192.0.2.2: rejected UNAUTHENTICATED MISSING_TOKEN, no metadata (line 8: version)",
				"6 anna: admitted, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN",
				"7 bert: denied, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN",
				"8 carl: admitted, rejected FAILED_PRECONDITION CLIENT_VERSION_UNKNOWN",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, got := replay(t, log, strings.Replace(old, c.from, c.to, 1))
			if want := strings.Join(append(c.want, ""), "\n"); got != want {
				t.Errorf("the differences are\n%s; want\n%s", got, want)
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
			`"rpc.response.status_code":"OK","rpc.duration":1000,"network.peer.address":"192.0.2.1",`+
			`"network.peer.port":1%s}`+"\n",
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
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: ES256, jwks_url: https://issuer.example/keys,
          roles_claim: roles}
  - {use: rate_limit, by: user, limit: 1/10s, methods: [a.B/Get]}
  - {use: concurrency, limit: 1}
`)
	want := "1 192.0.2.1: admitted, no identity (line 3: authn)\n" +
		"2 anna: admitted, the limit may have counted a call that cannot be decided (line 6: rate_limit)\n" +
		"4 anna: admitted, the limit may have counted a call that cannot be decided (line 6: rate_limit)\n" +
		"6 anna: admitted, limited\n"
	// The call of second 51 is decided, and admitted as recorded.
	if got != want || fmt.Sprint(report.NotReplayed) != "[line 7: concurrency]" {
		t.Errorf("the differences are\n%sand %q is not replayed; want\n%s", got, report.NotReplayed, want)
	}
}

// Integers of claims are exact, as authn reads them, and other numbers are no integers.
func TestClaims(t *testing.T) {
	const record = `{"time":"2026-01-01T12:00:00Z","msg":"call ended","rpc.side":"server","rpc.method":"a.B/C",` +
		`"rpc.response.status_code":"OK","hauberk.identity":{"subject":"a","claims":{"org":9007199254740993,"level":3}}}`
	for when, want := range map[string]string{
		"claims.org == 9007199254740993":                        "",
		"claims.org == 9007199254740992":                        "1 a: admitted, denied\n",
		"string(claims.org) == '9007199254740993'":              "",
		"claims.level == 3 && claims.level / 2.0 == 1.5":        "",
		"claims.org == 9007199254740993 && claims.plan == null": "1 a: admitted, no claim \"plan\" (line 5: authz)\n",
	} {
		_, got := replay(t, []byte(record), `version: 1
server:
  - use: authn
    jwt: {issuer: https://issuer.example, audience: shop, algorithms: ES256, jwks_url: https://issuer.example/keys}
  - use: authz
    rules: {allow: "*", when: "`+when+`"}
`)
		if got != want {
			t.Errorf("%s: %q; want %q", when, got, want)
		}
	}
}

// Lines that are no records of calls of servers are counted, and calls are in the order in which they began.
func TestRead(t *testing.T) {
	const log = `not JSON
{"time":"2026-01-01T12:00:09Z",ENDED,"rpc.side":"server","rpc.method":"a.B/Late","rpc.duration":1000000000}
{"time":"2026-01-01T12:00:10Z",ENDED,"rpc.side":"server","rpc.method":"a.B/Early","rpc.duration":9000000000,METADATA}
{"time":"2026-01-01T12:00:09Z",ENDED,"rpc.side":"client","rpc.method":"a.B/C"}
{"time":"2026-01-01T12:00:09Z","msg":"call started","rpc.side":"server","rpc.method":"a.B/C"}
`
	short := strings.NewReplacer("ENDED", `"msg":"call ended","rpc.response.status_code":"OK"`,
		"METADATA", `"rpc.request.metadata":{"a":["1","2"],"b":"3","c":"[redacted]","d":"cut…","…":2}`)
	read, err := policyreplay.Read(strings.NewReader(short.Replace(log) + strings.Repeat("x", policyreplay.MaxLine+5) + "\n{}"))
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
