package redistest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Permissions returns the commands that doc.go of the tested package has after some words, until the next empty
// line after a sentence, as rules of ACL SETUSER.
func Permissions(t testing.TB, after string) []string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), after)
	text, _, ok := strings.Cut(text, ".\n//\n")
	if !ok {
		t.Fatalf("doc.go has no commands after %q", after)
	}
	commands := regexp.MustCompile(`\b[A-Z]{3,}\b`).FindAllString(text, -1)
	rules := make([]string, 0, len(commands))
	for _, command := range commands {
		rules = append(rules, "+"+strings.ToLower(command))
	}
	return rules
}
