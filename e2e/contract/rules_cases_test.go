package contract_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A small golden file with at least one of each thing that is compared.
const sampleGolden = `{
 "scenario": "sample",
 "compare": {"ignore": ["sent"], "alias": [["CANCELLED", "DEADLINE_EXCEEDED"]], "alias_paths": ["server_log", "records.server"],
  "ignore_log_prefix": ["s:request"], "drop_records": ["start"], "ignore_details_of": ["INTERNAL"]},
 "calls": [
  {"id": "one", "client": {"kind": "unary_stream", "code": "OK", "details": "", "responses": [{"msg": "a"}, {"msg": "b"}],
    "initial": [["x-b", "1"], ["x-a", "2"], ["x-a", "1"]], "trailing": [], "within": true},
   "handler": [{"method": "/s/M", "kind": "unary_stream", "metadata": [], "state": {}, "deadline": "set", "requests": ["a"], "end": "OK"}],
   "client_log": ["c:enter", "c:exit(OK)"], "server_log": ["s:enter", "s:request(a)", "s:exit(DEADLINE_EXCEEDED)"],
   "records": {"client": [{"event": "end", "code": "CANCELLED", "received": 2, "sent": 1}],
               "server": [{"event": "start"}, {"event": "end", "code": "CANCELLED"}]}},
  {"id": "two", "client": {"kind": "unary_unary", "code": "INTERNAL", "details": "boom", "responses": [], "initial": [], "trailing": [],
    "local_exception": true}, "handler": [], "client_log": [], "server_log": []},
  {"id": "three", "client": {"kind": "unary_unary", "code": "DEADLINE_EXCEEDED", "details": "Deadline Exceeded", "responses": []}, "handler": []},
  {"id": "four", "client": {"kind": "unary_unary", "code": "ABORTED", "details": "mine", "responses": []}, "handler": []}
 ],
 "snapshots": {"m": {"/s/M": {"requests": 1, "codes": {"OK": 1}, "last": "DEADLINE_EXCEEDED"}}}
}`

// edit is a text of sampleGolden and its replacement in the outcome.
type edit struct{ old, new string }

// differencesAfter compares the sample with an edited copy.
func differencesAfter(t *testing.T, edits ...edit) []string {
	t.Helper()
	other := sampleGolden
	for _, e := range edits {
		if strings.Count(other, e.old) != 1 {
			t.Fatalf("%q is %d times in the sample; want once", e.old, strings.Count(other, e.old))
		}
		other = strings.Replace(other, e.old, e.new, 1)
	}
	found, err := compare(parsed(t, sampleGolden), parsed(t, other))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := decode([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Differences are found, with their places.
func TestDifferences(t *testing.T) {
	for name, c := range map[string]struct {
		edit  edit
		place string
	}{
		"missing call":          {edit{`"id": "four"`, `"id": "five"`}, "call four: missing"},
		"extra call":            {edit{`"id": "four"`, `"id": "five"`}, "call five: not in the golden file"},
		"wrong code":            {edit{`"code": "ABORTED"`, `"code": "UNKNOWN"`}, "four.client.code"},
		"wrong details":         {edit{`"mine"`, `"yours"`}, "four.client.details"},
		"no details":            {edit{`"details": "mine", `, ``}, "four.client.details: missing"},
		"aliased code, client":  {edit{`"code": "DEADLINE_EXCEEDED"`, `"code": "CANCELLED"`}, "three.client.code"},
		"kind":                  {edit{`"kind": "unary_stream", "code"`, `"kind": "unary_unary", "code"`}, "one.client.kind"},
		"missing response":      {edit{`, {"msg": "b"}`, ``}, "one.client.responses"},
		"extra response":        {edit{`{"msg": "b"}]`, `{"msg": "b"}, {"msg": "c"}]`}, "one.client.responses"},
		"order of responses":    {edit{`{"msg": "a"}, {"msg": "b"}`, `{"msg": "b"}, {"msg": "a"}`}, "one.client.responses"},
		"state in a response":   {edit{`{"msg": "b"}`, `{"msg": "b", "state": {"k": "v"}}`}, "one.client.responses"},
		"order of values":       {edit{`["x-a", "2"], ["x-a", "1"]`, `["x-a", "1"], ["x-a", "2"]`}, "one.client.initial"},
		"missing metadata":      {edit{`["x-b", "1"], `, ``}, "one.client.initial"},
		"extra metadata":        {edit{`"trailing": [], "within"`, `"trailing": [["x-t", "1"]], "within"`}, "one.client.trailing"},
		"too late":              {edit{`"within": true`, `"within": false`}, "one.client.within"},
		"timing not said":       {edit{`, "within": true`, ``}, "one.client.within: missing"},
		"handler did not run":   {edit{`[{"method": "/s/M", "kind": "unary_stream", "metadata": [], "state": {}, "deadline": "set", "requests": ["a"], "end": "OK"}]`, `[]`}, "one.handler"},
		"handler ran":           {edit{`"local_exception": true}, "handler": []`, `"local_exception": true}, "handler": [{}]`}, "two.handler"},
		"state":                 {edit{`"state": {}`, `"state": {"user_id": "u"}`}, "one.handler"},
		"deadline":              {edit{`"deadline": "set"`, `"deadline": "none"`}, "one.handler"},
		"request":               {edit{`"requests": ["a"]`, `"requests": ["b"]`}, "one.handler"},
		"log line":              {edit{`"c:enter", `, ``}, "one.client_log"},
		"order of the log":      {edit{`"c:enter", "c:exit(OK)"`, `"c:exit(OK)", "c:enter"`}, "one.client_log"},
		"log":                   {edit{`"client_log": ["c:enter", "c:exit(OK)"], `, ``}, "one.client_log: missing"},
		"log of another call":   {edit{`"handler": [], "client_log": []`, `"handler": [], "client_log": ["c:enter"]`}, "two.client_log: not in the golden file"},
		"word within another":   {edit{`s:exit(DEADLINE_EXCEEDED)`, `s:exit(NOT_CANCELLED)`}, "one.server_log"},
		"record":                {edit{`, {"event": "end", "code": "CANCELLED"}]`, `]`}, "one.records.server"},
		"extra record":          {edit{`{"event": "start"}, `, `{"event": "start"}, {"event": "end"}, `}, "one.records.server"},
		"aliased code, records": {edit{`"end", "code": "CANCELLED", "received"`, `"end", "code": "DEADLINE_EXCEEDED", "received"`}, "one.records.client"},
		"count in a record":     {edit{`"received": 2`, `"received": 3`}, "one.records.client"},
		"records":               {edit{`"records": {"client": [{"event": "end", "code": "CANCELLED", "received": 2, "sent": 1}],`, `"records": {`}, "one.records.client: missing"},
		"snapshot value":        {edit{`"requests": 1`, `"requests": 2`}, "snapshots.m./s/M.requests"},
		"snapshot code":         {edit{`"codes": {"OK": 1}`, `"codes": {"UNKNOWN": 1}`}, "snapshots.m./s/M.codes.OK: missing"},
		"snapshot":              {edit{`"m": {"/s/M": {"requests": 1, "codes": {"OK": 1}, "last": "DEADLINE_EXCEEDED"}}`, ``}, "snapshots.m: missing"},
		"type of a value":       {edit{`"requests": 1`, `"requests": "1"`}, "snapshots.m./s/M.requests"},
	} {
		t.Run(name, func(t *testing.T) {
			found := differencesAfter(t, c.edit)
			if !slices.ContainsFunc(found, func(d string) bool { return strings.HasPrefix(d, c.place) }) {
				t.Errorf("found %q; want one at %q", found, c.place)
			}
		})
	}
}

// Differences that the rules allow are not found.
func TestNoDifferences(t *testing.T) {
	for name, e := range map[string]edit{
		"the same":               {`"scenario": "sample"`, `"scenario": "sample"`},
		"order of keys":          {`["x-b", "1"], ["x-a", "2"], ["x-a", "1"]`, `["x-a", "2"], ["x-b", "1"], ["x-a", "1"]`},
		"missing initial":        {`"responses": [], "initial": [], "trailing": [],`, `"responses": [],`},
		"empty initial":          {`"details": "Deadline Exceeded", "responses": []`, `"details": "Deadline Exceeded", "responses": [], "initial": []`},
		"missing metadata":       {`"metadata": [], "state": {}, `, ``},
		"empty log missing":      {`, "client_log": [], "server_log": []`, ``},
		"local exception":        {`"local_exception": true`, `"local_exception": false`},
		"details of the library": {`"details": "Deadline Exceeded"`, `"details": "context deadline exceeded"`},
		"details of INTERNAL":    {`"boom"`, `"internal error"`},
		"ignored key":            {`"sent": 1`, `"sent": 9`},
		"own key":                {`"id": "four"`, `"id": "four", "_took": 3`},
		"alias in a log":         {`s:exit(DEADLINE_EXCEEDED)`, `s:exit(CANCELLED)`},
		"alias in a record":      {`{"event": "end", "code": "CANCELLED"}`, `{"event": "end", "code": "DEADLINE_EXCEEDED"}`},
		"alias in a snapshot":    {`"last": "DEADLINE_EXCEEDED"`, `"last": "CANCELLED"`},
		"ignored log line":       {`"s:request(a)", `, `"s:request(a)", "s:request(b)", `},
		"dropped record":         {`{"event": "start"}, `, ``},
	} {
		t.Run(name, func(t *testing.T) {
			if found := differencesAfter(t, e); len(found) > 0 {
				t.Errorf("found %q; want nothing", found)
			}
		})
	}
}

// Snapshots are compared if the golden file has some.
func TestSnapshotsAreTheGoldenFiles(t *testing.T) {
	golden, other := parsed(t, sampleGolden), parsed(t, sampleGolden)
	delete(golden, "snapshots")
	if found, err := compare(golden, other); err != nil || len(found) > 0 {
		t.Errorf("found %q, %v; want nothing", found, err)
	}
	if found, err := compare(other, golden); err != nil || len(found) == 0 {
		t.Errorf("missing snapshots were not found (%v)", err)
	}
}

// Without alias_paths an alias applies everywhere.
func TestAliasEverywhere(t *testing.T) {
	golden := strings.Replace(sampleGolden, `, "alias_paths": ["server_log", "records.server"]`, ``, 1)
	other := strings.Replace(golden, `"code": "DEADLINE_EXCEEDED"`, `"code": "CANCELLED"`, 1)
	if found, err := compare(parsed(t, golden), parsed(t, other)); err != nil || len(found) > 0 {
		t.Errorf("found %q, %v; want nothing", found, err)
	}
}

// Unknown rules, and values that are not outcomes, are rejected.
func TestRejectedRules(t *testing.T) {
	for name, golden := range map[string]string{
		"unknown rule":  `{"compare": {"forgive": ["all"]}, "calls": []}`,
		"no calls":      `{"compare": {}}`,
		"no client":     `{"calls": [{"id": "a"}]}`,
		"no id":         `{"calls": [{"client": {}}]}`,
		"other calls":   `{"calls": {}}`,
		"rules of text": `{"compare": "loose", "calls": []}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compare(parsed(t, golden), parsed(t, sampleGolden)); err == nil {
				t.Error("it was compared; want an error")
			}
		})
	}
}

func TestReplaceWord(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"CANCELLED", "X"},
		{"s:exit(CANCELLED)", "s:exit(X)"},
		{"CANCELLED, CANCELLED", "X, X"},
		{"NOT_CANCELLED", "NOT_CANCELLED"},
		{"CANCELLEDCANCELLED", "CANCELLEDCANCELLED"},
		{"éCANCELLED", "éCANCELLED"},
		{"☃CANCELLED☃", "☃X☃"},
		{"", ""},
	} {
		if got := replaceWord(c.in, "CANCELLED", "X"); got != c.out {
			t.Errorf("%q became %q; want %q", c.in, got, c.out)
		}
	}
}

// Every golden file agrees with itself, and differs from every other.
func TestGoldenFiles(t *testing.T) {
	for _, set := range []string{"testdata", "testdata/primitives"} {
		docs := make(map[string]map[string]any)
		for _, name := range namesIn(t, filepath.Join(set, "golden")) {
			doc, err := readGeneric(filepath.Join(set, "golden", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			docs[name] = doc
		}
		for a, golden := range docs {
			for b, other := range docs {
				found, err := compare(golden, other)
				if err != nil {
					t.Fatal(err)
				}
				if (len(found) == 0) != (a == b) {
					t.Errorf("%s: %d differences between %s and %s", set, len(found), a, b)
				}
			}
		}
	}
}
