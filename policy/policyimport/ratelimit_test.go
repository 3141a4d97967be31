package policyimport_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policyimport"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

// The limits of Envoy's ratelimit.
func ExampleRateLimit() {
	file, _, err := policyimport.RateLimit("config.yaml", []byte(`
domain: shop
descriptors:
  - key: remote_address
    rate_limit: {unit: minute, requests_per_unit: 100}
  - key: generic_key
    value: slow
    rate_limit: {unit: second, requests_per_unit: 1}
`))
	fmt.Print(string(file))
	fmt.Println(err)
	// Output:
	// # the keys of descriptors are set by the routes of Envoy: check that they are the metadata of these names, and that only trusted proxies set it
	// # line 6: the limit is not imported: only the routes of Envoy say which calls have the generic_key "slow"
	// version: 1
	// server:
	//   - use: rate_limit # line 4
	//     by: peer
	//     limit: 100/1m
	//     algorithm: fixed_window
	//     charge_unknown: true
	// <nil>
}

const envoy = `
domain: shop
descriptors:
  - key: remote_address
    value: 192.0.2.66
    rate_limit: {unit: hour, requests_per_unit: 1}
  - key: X-User
    rate_limit: {unit: minute, requests_per_unit: 3, name: users}
    descriptors:
      - key: x-plan
        value: trial
        rate_limit: {unit: DAY, requests_per_unit: 2}
  - key: x-user
    value: batch
    rate_limit: {unlimited: true}
  - key: x-shared
    value: a*
    share_threshold: true
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: x-shared
    value: ab
    shadow_mode: true
    rate_limit: {unit: year, requests_per_unit: 1}
  - key: a b
    rate_limit: {unit: week, requests_per_unit: 1}
  - key: x-none
    detailed_metric: true
    rate_limit: {unit: month, requests_per_unit: 0}
  - key: remote_address
    value: 192.0.2.77
    rate_limit: {unit: day, requests_per_unit: 0}
  - key: x-first
    value: a*
    rate_limit: {unit: day, requests_per_unit: 1}
  - key: x-first
    value: ab*
    rate_limit: {unit: day, requests_per_unit: 50}
`

// Imported limits count the calls whose metadata has the keys and values of their descriptors.
func TestRateLimit(t *testing.T) {
	file, notes, err := policyimport.RateLimit("config.yaml", []byte(envoy))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"line 7: rate_limit.name is not imported", `line 24: the limit is not imported: "a b" is not a key of request metadata`,
		"line 26: detailed_metric is not imported",
	} {
		if !strings.Contains(strings.Join(notes, "\n"), want) || !strings.Contains(string(file), "# "+want) {
			t.Errorf("the notes are %q; want %q", notes, want)
		}
	}
	cases, err := policytest.Parse("cases.yaml", []byte(`
cases:
  - {name: a user, method: a.B/C, metadata: {x-user: anna}, calls: 3}
  - {name: a user over the limit, method: a.B/C, metadata: {x-user: anna}, calls: 4, want: RESOURCE_EXHAUSTED}
  - {name: another user, method: a.B/C, metadata: {x-user: bert},
     before: [{method: a.B/C, metadata: {x-user: anna}, calls: 4}]}
  - {name: the batch user has no limit, method: a.B/C, metadata: {x-user: batch}, calls: 100}
  - {name: calls without a user have none, method: a.B/C, calls: 100}
  - {name: a trial, method: a.B/C, metadata: {x-user: anna, x-plan: trial}, calls: 3, want: RESOURCE_EXHAUSTED}
  - {name: another plan, method: a.B/C, metadata: {x-user: anna, x-plan: paid}, calls: 3}
  - {name: an address, method: a.B/C, peer: 192.0.2.66, calls: 2, want: RESOURCE_EXHAUSTED}
  - {name: another address, method: a.B/C, peer: 192.0.2.67, calls: 2}
  - {name: values share a quota, method: a.B/C, metadata: {x-shared: aa}, want: RESOURCE_EXHAUSTED,
     before: [{method: a.B/C, metadata: {x-shared: ac}}]}
  - {name: no requests, method: a.B/C, metadata: {x-none: a}, want: RESOURCE_EXHAUSTED}
  - {name: no requests of an address, method: a.B/C, peer: 192.0.2.77, want: RESOURCE_EXHAUSTED}
  - {name: the first pattern counts, method: a.B/C, metadata: {x-first: abc}, calls: 2, want: RESOURCE_EXHAUSTED}
  - {name: a more specific value has another limit in shadow, method: a.B/C, metadata: {x-shared: ab}, calls: 9}
`))
	if err != nil {
		t.Fatal(err)
	}
	report, err := policytest.Run(cases, func(opts ...policy.Option) (*policy.Policy, error) {
		return policy.Parse("policy.yaml", file, append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))...)
	}, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	for i := range report.Results {
		if r := &report.Results[i]; !r.Passed() {
			t.Errorf("%s: %v %q: %s\n%s", r.Name, r.GotCode, r.GotReason, r.GotMessage, file)
		}
	}
}

// What is wrong with a config is reported with its place.
func TestRateLimitWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "f.yaml:1:1: the file is empty",
		"descriptors: []":                      "f.yaml:1:1: the file has no domain",
		"domain: a\ndescriptors: [{value: a}]": "f.yaml:2:15: a descriptor has no key",
		"domain: a\ndescriptors: [{key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}]":        `unit is "fortnight"; want one of second`,
		"domain: a\ndescriptors: [{key: a, rate_limit: {unit: second}}]":                                 "has no unit or no requests_per_unit",
		"domain: a\ndescriptors: [{key: a, rate_limit: {unit: second, requests_per_unit: -1}}]":          "want a number from 0",
		"domain: a\ndescriptors: [{key: a, rate_limits: {unit: second, requests_per_unit: 1}}]":          `unknown key "rate_limits"`,
		"domain: a\ndescriptors: [{key: a, rate_limit: {unit: second, requests_per_unit: 99999999999}}]": "want a number from 0",
	} {
		file, _, err := policyimport.RateLimit("f.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || file != nil {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// What is imported without an error is a valid policy file.
func FuzzRateLimit(f *testing.F) {
	f.Add([]byte(envoy))
	f.Add([]byte("domain: a\ndescriptors:\n  - {key: b, value: \"\\u2028\", rate_limit: {unit: second, requests_per_unit: 4}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, _, err := policyimport.RateLimit("config.yaml", data)
		if err == nil {
			valid(t, file)
		}
	})
}
