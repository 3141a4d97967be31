package main

import (
	"strings"
	"testing"
)

const goodList = `# Differences

Prose before any suite.

## grpc-go

### Texts of plain errors are not sent

- Tests: ` + "`test Test/Stream*Failure`" + `,
  ` + "`test Test/Unary`" + `
- Chains: ` + "`empty`, `wrapped`" + `
- Held by: ` + "`TestX`" + ` in ` + "`x_test.go`" + `

A server sends the text of an error that has a status,
and of no other.
`

func TestListIsRead(t *testing.T) {
	list, err := parseList(goodList)
	if err != nil || len(list) != 1 {
		t.Fatalf("read %d differences, error %v; want 1 and none", len(list), err)
	}
	l := list[0]
	if l.suite != "grpc-go" || l.title != "Texts of plain errors are not sent" || l.line != 7 {
		t.Errorf("read suite %q, title %q, line %d", l.suite, l.title, l.line)
	}
	if l.heldBy != "TestX" || l.heldFile != "x_test.go" {
		t.Errorf("held by %q in %q; want TestX in x_test.go", l.heldBy, l.heldFile)
	}
	if want := "A server sends the text of an error that has a status, and of no other."; l.reason != want {
		t.Errorf("the reason is %q; want %q", l.reason, want)
	}
}

func TestDifferenceThatNoSuiteSeesNeedsATestAndAReason(t *testing.T) {
	entry := "## " + unseen + "\n\n### Texts\n\n- Held by: `TestX` in `x_test.go`\n\nA reason that is long enough.\n"
	if list, err := parseList(entry); err != nil || len(list) != 1 || list[0].heldBy != "TestX" {
		t.Errorf("read %d differences, error %v; want 1 and none", len(list), err)
	}
	if _, err := parseList(strings.ReplaceAll(entry, "- Held by:", "- By:")); err == nil {
		t.Error("no error without a test")
	}
}

func TestDifferenceIsFoundByItsSuiteChainAndTests(t *testing.T) {
	list, err := parseList(goodList)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		suite, chain, test string
		found              bool
	}{
		{"grpc-go", "empty", "test Test/StreamSetFailure", true},
		{"grpc-go", "empty", "test Test/Stream/sub/Failure", true},
		{"grpc-go", "wrapped", "test Test/Unary", true},
		{"grpc-go", "wrapped", "test Test/Unary/sub", false},
		{"grpc-go", "hooks", "test Test/Unary", false},
		{"interop", "empty", "test Test/Unary", false},
	} {
		if got := find(list, tt.suite, tt.chain, tt.test) != nil; got != tt.found {
			t.Errorf("%s, %s, %s: found %t; want %t", tt.suite, tt.chain, tt.test, got, tt.found)
		}
	}
}

func TestDifferenceThatLacksSomethingIsAnError(t *testing.T) {
	for name, damage := range map[string][2]string{
		"suite":  {"## grpc-go\n", ""},
		"tests":  {"`test Test", "test Test"},
		"chains": {"`empty`, `wrapped`", ""},
		"chain":  {"`empty`", "`void`"},
		"test":   {"- Held by:", "- By:"},
		"reason": {"A server sends the text of an error that has a status,\nand of no other.", "why not"},
	} {
		if _, err := parseList(strings.ReplaceAll(goodList, damage[0], damage[1])); err == nil {
			t.Errorf("no error without %s", name)
		}
	}
}

func TestListOfTheRepositoryIsInOrder(t *testing.T) {
	if _, err := readList(".."); err != nil {
		t.Error(err)
	}
}
