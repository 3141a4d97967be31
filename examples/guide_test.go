// Package examples_test compares the guides with the code that they show, and runs the programs.
package examples_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestGuides: each Go block of a guide that names a file is in that file.
func TestGuides(t *testing.T) {
	block := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)```")
	for _, guide := range []string{"../docs/first-interceptor.md", "../docs/from-grpcio.md", "../docs/cookbook.md", "../README.md"} {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s: no Go block names its file", guide)
		}
		for _, b := range blocks {
			source, err := os.ReadFile("../examples/" + strings.TrimPrefix(b[1], "examples/"))
			if err != nil {
				t.Error(err)
				continue
			}
			if !strings.Contains(string(source), b[2]) {
				t.Errorf("%s: this is not in %s:\n%s", guide, b[1], b[2])
			}
		}
	}
}

// TestREADMEIsShort: the README has at most 120 lines.
func TestREADMEIsShort(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 120 {
		t.Errorf("README.md has %d lines; want at most 120", lines)
	}
}
