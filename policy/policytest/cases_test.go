package policytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

const whole = `
version: 1
cases:
  - name: everything
    method: /shop.v1.Cart/Watch
    kind: server_stream
    identity:
      subject: anna
      issuer: https://issuer.example
      tenant: acme
      method: jwt
      scopes: read
      roles: [buyer, support]
      claims: {tier: gold, level: 3, ratio: 0.5, admin: false, none: null, list: [1, a]}
    metadata: {x-plan: gold, x-tag: [a, b]}
    peer: 192.0.2.1:443
    time: 2026-01-31T12:00:00Z
    message: {id: "7", items: [{n: 1}]}
    calls: 3
    before:
      - {method: shop.v1.Cart/Get, calls: 2}
    upstream: [UNAVAILABLE, OK]
    want: {code: PERMISSION_DENIED, reason: RULE_DENIED, attempts: 2}
  - name: defaults
    method: shop.v1.Cart/Get
`

// TestParse: every key is read, and the others have their defaults.
func TestParse(t *testing.T) {
	got, err := policytest.Parse("cases.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got[0].Before) != 1 {
		t.Fatalf("cases are %+v; want two, the first with a call before", got)
	}
	c := got[0]
	same(t, *c.Identity, hauberk.Identity{
		Subject: "anna", Issuer: "https://issuer.example", Tenant: "acme", Method: "jwt",
		Scopes: []string{"read"}, Roles: []string{"buyer", "support"},
		Claims: map[string]any{
			"tier": "gold", "level": 3.0, "ratio": 0.5, "admin": false, "none": nil, "list": []any{1.0, "a"},
		},
	})
	same(t, c.Metadata, metadata.MD{"x-plan": {"gold"}, "x-tag": {"a", "b"}})
	same(t, string(c.Message), `{"id":"7","items":[{"n":1}]}`)
	same(t, c.Upstream, []codes.Code{codes.Unavailable, codes.OK})
	same(t, c.Want, policytest.Want{Code: codes.PermissionDenied, Reason: "RULE_DENIED", HasReason: true, Attempts: 2})
	same(t, []any{c.Name, c.Method, c.Kind.String(), c.Peer.String(), c.Time.Format(time.RFC3339), c.Calls, c.Line},
		[]any{"everything", "/shop.v1.Cart/Watch", "server_stream", "192.0.2.1:443", "2026-01-31T12:00:00Z", 3, 4})
	same(t, []any{c.Before[0].Method, c.Before[0].Calls}, []any{"/shop.v1.Cart/Get", 2})

	d := got[1]
	same(t, d.Want, policytest.Want{Attempts: -1})
	same(t, []any{d.Identity == nil, d.HasKind, d.Peer.String(), d.Time.IsZero(), d.Message == nil, d.Calls, d.Upstream == nil},
		[]any{true, false, "127.0.0.1:1", true, true, 1, true})
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// TestParseWrong: each mistake is reported with its place.
func TestParseWrong(t *testing.T) {
	const head = "version: 1\ncases:\n"
	tests := map[string]struct{ file, want string }{
		"empty":          {"", "cases.yaml:1:1: "},
		"version":        {"version: 2\ncases: [{name: a, method: a.B/C}]", "1:10: version is \"2\""},
		"no cases":       {"version: 1", "has no cases"},
		"empty cases":    {"version: 1\ncases: []", "has no cases"},
		"unknown key":    {head + "  - {name: a, method: a.B/C, wnt: {}}", "3:30: a case has the unknown key \"wnt\""},
		"name twice":     {head + "  - {name: a, method: a.B/C}\n  - {name: a, method: a.B/C}", "4:5: the name \"a\""},
		"no method":      {head + "  - {name: a}", "3:5: a case has no method; want one such as"},
		"method":         {head + "  - {name: a, method: a.B.C}", "3:23: method is \"a.B.C\"; want one such as"},
		"kind":           {head + "  - {name: a, method: a.B/C, kind: bidi}", "want one of unary, client_stream"},
		"no subject":     {head + "  - {name: a, method: a.B/C, identity: {tenant: x}}", "identity has no subject"},
		"claims":         {head + "  - {name: a, method: a.B/C, identity: {subject: x, claims: 1}}", "claims is \"1\""},
		"claim twice":    {head + "  - {name: a, method: a.B/C, identity: {subject: x, claims: {a: 1, a: 2}}}", "twice"},
		"metadata":       {head + "  - {name: a, method: a.B/C, metadata: x}", "metadata is \"x\"; want keys and values"},
		"metadata twice": {head + "  - {name: a, method: a.B/C, metadata: {x: a, x: b}}", "the key \"x\" twice"},
		"peer":           {head + "  - {name: a, method: a.B/C, peer: 192.0.2}", "want an IP address with or without a port"},
		"time":           {head + "  - {name: a, method: a.B/C, time: noon}", "want one such as 2026-01-01T12:00:00Z"},
		"message":        {head + "  - {name: a, method: a.B/C, message: x}", "want the fields of the message"},
		"calls":          {head + "  - {name: a, method: a.B/C, calls: 0}", "calls is \"0\"; want a number from 1"},
		"upstream":       {head + "  - {name: a, method: a.B/C, upstream: []}", "upstream has no codes"},
		"code":           {head + "  - {name: a, method: a.B/C, want: {code: DENIED}}", "code is \"DENIED\"; want the name"},
		"scalar want":    {head + "  - {name: a, method: a.B/C, want: DENIED}", "want is \"DENIED\"; want the name"},
		"reason":         {head + "  - {name: a, method: a.B/C, want: {reason: [a]}}", "reason is a list; want a text"},
		"mtls":           {head + "  - {name: a, method: a.B/C, identity: {subject: a, method: mtls, roles: b}}", "want only subject"},
		"metadata key":   {head + "  - {name: a, method: a.B/C, metadata: {X-A: b}}", "want a key in lower case"},
		"before":         {head + "  - {name: a, method: a.B/C, before: [{}]}", "a call of before has no method"},
		"before want":    {head + "  - {name: a, method: a.B/C, before: [{want: {}}]}", "unknown key \"want\""},
		"not YAML":       {"version: [", "not YAML"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cases, err := policytest.Parse("cases.yaml", []byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) || cases != nil {
				t.Errorf("Parse returns %v, %v; want an error with %q", cases, err, test.want)
			}
		})
	}
}

// No file makes Parse panic or return both cases and an error, and every case that it returns can be run.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("version: 1\ncases: [{name: a, method: a.B/C, message: {a: .inf, b: 0x10, c: 1e999}}]"))
	f.Add([]byte("cases: [{method: a.B/C, want: OK}]"))
	f.Add([]byte("cases:\n  - {method: shop.v1.Cart/Get, identity: {subject: a, claims: {n: 1}}, want: {code: ABORTED}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := policytest.Parse("cases.yaml", data)
		if (err == nil) == (len(cases) == 0) {
			t.Errorf("%d cases and %v", len(cases), err)
		}
		for i := range cases {
			for _, c := range cases[i].AllCalls() {
				if c.Method == "" || c.Calls < 1 || c.Calls > policytest.MaxCalls || !c.Peer.IsValid() {
					t.Errorf("%+v", *c)
				}
			}
		}
	})
}
