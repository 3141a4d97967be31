package contract_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// A scenario with anything that the runner does not know fails. It is never skipped.
func TestUnknownPrimitivesFail(t *testing.T) {
	in := func(side, interceptor string) string {
		return `{"name": "x", "` + side + `": {"interceptors": [` + interceptor + `]}, "steps": []}`
	}
	step := func(step string) string { return `{"name": "x", "steps": [` + step + `]}` }
	call := func(rest string) string {
		return step(`{"call": {"id": "a", "kind": "unary_unary"` + rest + `}}`)
	}
	for name, c := range map[string]struct{ scenario, want string }{
		"key of a scenario":       {`{"name": "x", "threads": 2, "steps": []}`, `unknown field "threads"`},
		"clock":                   {`{"name": "x", "clock": "slow", "steps": []}`, `"clock" is "slow"`},
		"order":                   {`{"name": "x", "order": "any", "steps": []}`, `"order" is "any"`},
		"portable":                {`{"name": "x", "portable": "maybe", "steps": []}`, `"portable" is "maybe"`},
		"key of a chain":          {`{"name": "x", "server": {"chain": []}, "steps": []}`, `unknown field "chain"`},
		"two values":              {`{"name": "x", "steps": []} {}`, "more than one"},
		"type on a server":        {in("server", `{"type": "cache"}`), `the type "cache" is not known`},
		"type on a client":        {in("client", `{"type": "cache"}`), `the type "cache" is not known`},
		"a client's on a server":  {in("server", `{"type": "retry"}`), `the type "retry" is not known`},
		"a server's on a client":  {in("client", `{"type": "metrics"}`), `the type "metrics" is not known`},
		"no type":                 {in("server", `{}`), `the type "" is not known`},
		"key of an interceptor":   {in("server", `{"type": "tag", "tag": "s", "color": "red"}`), `unknown field "color"`},
		"key of a condition":      {in("server", `{"type": "none", "when": {"user": "u"}}`), `unknown field "user"`},
		"inner of if":             {in("server", `{"type": "if", "inner": {"type": "cache"}}`), `the type "cache" is not known`},
		"inner of only":           {in("client", `{"type": "only", "kinds": ["unary_unary"], "inner": {"type": "cache"}}`), `the type "cache" is not known`},
		"kind of only":            {in("client", `{"type": "only", "kinds": ["duplex"], "inner": {"type": "twice"}}`), `the kind "duplex" is not known`},
		"code of an interceptor":  {in("server", `{"type": "reject", "code": "NO"}`), `the code "NO" is not known`},
		"algorithm":               {in("server", `{"type": "rate_limit", "limit": 1, "algorithm": "guess"}`), `the algorithm "guess" is not known`},
		"key of a limit":          {in("server", `{"type": "rate_limit", "limit": 1, "key": "planet"}`), `the key "planet" is not known`},
		"token of another kind":   {in("server", `{"type": "auth", "tokens": {"t": {"role": "admin"}}}`), `unknown field "role"`},
		"phase":                   {in("client", `{"type": "throw", "phase": "during"}`), `"phase" is "during"`},
		"state without a value":   {in("server", `{"type": "set_state", "key": "k"}`), "either a value or from_metadata"},
		"answer of nothing":       {in("client", `{"type": "short_circuit"}`), "either messages or a code"},
		"metadata of one":         {in("server", `{"type": "reject", "code": "ABORTED", "trailing": [["x-a"]]}`), "[key, value]"},
		"configuration":           {in("server", `{"type": "rate_limit", "limit": -1}`), "Limit is -1"},
		"no step":                 {step(`{}`), "want one of call"},
		"two steps in one":        {step(`{"sleep_ms": 1, "advance_ms": 1}`), "want one of call"},
		"key of a step":           {step(`{"wait_ms": 1}`), `unknown field "wait_ms"`},
		"stagger of nothing":      {step(`{"sleep_ms": 1, "stagger_ms": 1}`), "belongs to parallel"},
		"side of nothing":         {step(`{"sleep_ms": 1, "side": "client"}`), "belong to snapshot"},
		"side of a snapshot":      {step(`{"snapshot": "s", "side": "proxy", "interceptor": "tag"}`), `"side" is "proxy"`},
		"snapshot of nothing":     {step(`{"snapshot": "s", "side": "client", "interceptor": "tag"}`), `has no interceptor "tag"`},
		"key of a call":           {call(`, "priority": 1`), `unknown field "priority"`},
		"kind of a call":          {step(`{"call": {"id": "a", "kind": "duplex"}}`), `the kind "duplex" is not known`},
		"no id":                   {step(`{"call": {"kind": "all"}}`), "no id"},
		"in parallel":             {step(`{"parallel": [{"id": "a", "kind": "duplex"}]}`), `the kind "duplex" is not known`},
		"responses kept":          {call(`, "keep_responses": "some"`), `"keep_responses" is "some"`},
		"key of a cancel":         {call(`, "cancel": {"after_bytes": 1}`), `unknown field "after_bytes"`},
		"key of a request":        {call(`, "requests": [{"msg": "a", "weight": 1}]`), `unknown field "weight"`},
		"no single request":       {call(`, "requests": []`), "has none"},
		"field of a script":       {call(`, "requests": [{"msg": "a", "script": {"explode": true}}]`), "explode"},
		"code of a script":        {call(`, "requests": [{"msg": "a", "script": {"fail_code": "NO"}}]`), `the code "NO" is not known`},
		"binary value, request":   {call(`, "metadata": [["x-bin", "00ff"]]`), "want b64:"},
		"binary value, script":    {call(`, "requests": [{"msg": "a", "script": {"initial": [["x-bin", "hex:00"]]}}]`), "want b64:"},
		"binary value, not of 64": {call(`, "metadata": [["x-bin", "b64:?"]]`), "want b64:"},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			sc, err := parseScenario([]byte(c.scenario))
			if err == nil {
				_, err = run(t.Context(), t, sc)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want an error with %q", err, c.want)
			}
		})
	}
}

// A scenario has the name of its file.
func TestScenarioNames(t *testing.T) {
	if _, err := readScenario("testdata/scenarios/01_order_all_kinds.json"); err != nil {
		t.Error(err)
	}
	if _, err := readScenario("testdata/golden/01_order_all_kinds.json"); err == nil {
		t.Error("an outcome was read as a scenario")
	}
}

// Numbers and kinds are expanded.
func TestExpand(t *testing.T) {
	calls, err := expand([]byte(`{"id": "c{i}", "kind": "all", "times": 2, "requests": [{"msg": "m{i}"}], "metadata": [["x-n", "{i}"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls {
		got = append(got, c.ID+" "+c.Kind+" "+c.Requests[0].Msg+" "+c.Metadata[0].value)
	}
	want := []string{
		"c0#00/unary_unary unary_unary m0 0", "c0#00/unary_stream unary_stream m0 0",
		"c0#00/stream_unary stream_unary m0 0", "c0#00/stream_stream stream_stream m0 0",
		"c1#01/unary_unary unary_unary m1 1", "c1#01/unary_stream unary_stream m1 1",
		"c1#01/stream_unary stream_unary m1 1", "c1#01/stream_stream stream_stream m1 1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
