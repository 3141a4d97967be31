package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestRules checks sentences of prose. A sentence without a word has no finding.
func TestRules(t *testing.T) {
	for _, test := range []struct{ text, finding string }{
		{"Rate limits run inside authentication.", ""},

		{"Each link of a chain is run.", "link"},
		{"A span has links to other spans.", ""},
		{"A program links only the packages that it imports.", ""},

		{"The limiter is further in.", "further in"},
		{"A further interceptor inside authn.", ""},

		{"The token stands in the metadata.", "stands"},
		{"A stood call.", "stood"},
		{"A stand-in for the clock, easy to understand.", ""},

		{"WireSizes has the bytes of calls counted by the chain.", "has the bytes of calls counted by"},
		{"The chain has counted the bytes.", ""},

		{"It is told the outcome.", "told"},
		{"It tells two calls apart.", "tells"},
		{"A teller is not a word of the table.", ""},
		{"What grpc-go says of it.", "says of"},

		{"Safe beside SetMethod.", "beside"},
		{"Besides, it is fast.", "Besides"},

		{"It runs on a goroutine of its own.", "of its own."},
		{"A goroutine of its own in each call.", "of its own in"},
		{"It reads the fields of its own configuration.", ""},
		{"It has its own goroutine.", ""},

		{"The slice is not to be changed.", "is not to be"},
		{"The slice must not be changed.", ""},

		{"Whatever the hook returns.", "Whatever"},
		{"The call ends, however it did.", "however it did"},

		{"Strangers may call.", "Strangers"},
		{"Nobody reads it.", "Nobody"},
		{"For those who ask.", "those who"},
		{"Users who need it.", ""},
		{"A caller loses his quota.", "his"},

		{"A refusal is counted.", "refusal"},
		{"The server refuses it.", "refuses"},
		{"dial tcp: connection refused", ""},
		{"RST_STREAM with REFUSED_STREAM", ""},

		{"It never reaches the wire.", "the wire"},
		{"The bytes on the wire.", ""},
		{"Names of the wire format.", ""},

		{"A status is dear to make.", "dear"},
		{"The call is let go.", "let go"},
		{"The key is put down.", "put down"},
		{"It is taken for a response.", "taken for"},
		{"It is mistaken for a response.", ""},
		{"The time taken for a call.", ""},
		{"A newer one makes place.", "makes place"},
		{"By choice it logs more.", "By choice"},
		{"It reads what is there.", "what is there"},
		{"What stands before next runs first.", "What stands|stands"},
		{"Behind trusted hops.", "trusted hops"},
		{"The key ratelimit.Together is one bucket.", ".Together"},
		{"Together they run the chain once.", ""},
	} {
		for _, form := range []struct {
			path, src string
		}{
			{"a.go", "package a\n\n// " + test.text + "\n"},
			{"a.go", fmt.Sprintf("package a\n\nconst x = %q\n", test.text)},
			{"README.md", test.text + "\n"},
			{"scripts/a.sh", "# " + test.text + "\n"},
		} {
			got := texts(check(form.path, kindOf(form.path), form.src))
			if strings.Contains(test.text, "link") && form.path != "a.go" {
				continue // links of texts are links
			}
			if joined := strings.Join(got, "|"); joined != test.finding {
				t.Errorf("%s, %q: findings %q, want %q", form.path, test.text, joined, test.finding)
			}
		}
	}
}

func texts(findings []finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.text)
	}
	return all
}

// TestPlaces checks where findings are, and which parts of files are read.
func TestPlaces(t *testing.T) {
	for _, test := range []struct{ name, path, src, want string }{
		{"comment", "a.go", "package a\n\nvar x int // it stands\n", "a.go:3:17: stands"},
		{"over two lines of a comment", "a.go", "package a\n\n// a goroutine of its\n// own, at once\n", "a.go:3:16: of its own,"},
		{"over a paragraph", "a.go", "package a\n\n// of its\n//\n// own, at once\n", ""},
		{"comments after code", "a.go", "package a\n\nvar a = 1 // of its\nvar b = 2 // own, at once\n", ""},
		{"block comment", "a.go", "package a\n\n/* it\nis further\nin */\n", "a.go:4:4: further in"},
		{"raw string", "a.go", "package a\n\nvar x = `a\nit stands`\n", "a.go:4:4: stands"},
		{"strings joined by +", "a.go", "package a\n\nvar x = \"of its \" +\n\t\"own, at once\"\n", "a.go:3:10: of its own,"},
		{"escapes", "a.go", "package a\n\nvar x = \"\\nstands\"\n", "a.go:3:12: stands"},
		{"unexported name", "a.go", "package a\n\nvar told, stands, refuse int\n", ""},
		{"exported name", "a.go", "package a\n\nfunc RefuseAll() {}\n", "a.go:3:6: RefuseA"},
		{"foreign name", "a.go", "package a\n\nvar x = http2.ErrCodeRefusedStream\n", ""},
		{"name of a key", "a.go", "package a\n\nvar x = ratelimit.Together()\n", "a.go:3:19: Together"},
		{"markdown", "docs/a.md", "# Title\n\n- it is further\n  in\n", "docs/a.md:3:9: further in"},
		{"markdown link target", "docs/a.md", "see [this](0008-what-stands.md)\n", ""},
		{"Makefile", "Makefile", "x: ## runs beside y\n", "Makefile:1:12: beside"},
		{"panel", "deploy/grafana/dashboard.json", `{"description": "whatever"}`, "deploy/grafana/dashboard.json:1:18: whatever"},
		{"generated", "a.pb.go", "package a // stands\n", ""},
		{"data", "e2e/testdata/a.md", "stands\n", ""},
		{"binary", "a.png", "stands\n", ""},
		{"marker on the line", "a.go", "package a // stands //wordcheck:ignore\n", ""},
		{"marker above", "a.md", "<!-- wordcheck:ignore a quotation -->\nstands\n", ""},
		{"marker too far above", "a.md", "<!-- wordcheck:ignore -->\n\nstands\n", "a.md:1:1: |a.md:3:1: stands"},
		{"marker without a finding", "a.md", "runs <!-- wordcheck:ignore -->\n", "a.md:1:1: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			if k := kindOf(test.path); k != kindNone {
				for _, f := range check(test.path, k, test.src) {
					got = append(got, fmt.Sprintf("%s:%d:%d: %s", f.path, f.line, f.column, f.text))
				}
			}
			if joined := strings.Join(got, "|"); joined != test.want {
				t.Errorf("findings %q, want %q", joined, test.want)
			}
		})
	}
}

func TestFindingText(t *testing.T) {
	findings := check("a.md", kindPlain, "It stands.\n")
	if len(findings) != 1 || !strings.HasPrefix(findings[0].String(), `a.md:1:4: "stands": want runs`) {
		t.Errorf("findings %v", findings)
	}
}
