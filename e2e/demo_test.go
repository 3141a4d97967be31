package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// demoCall matches the line of the demo's output that calls the shop.
const demoCall = `^ *(grpcurl .*)$`

// The demo prints a grpcurl command line that works while the demo runs, because of the
// token in it.
func TestDemoCall(t *testing.T) {
	bin := t.TempDir()
	must(t, "go", "-C", "grpcurl", "build", "-o", filepath.Join(bin, "grpcurl"), "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	demo := start(t, nil, binary, "demo")
	line := demo.says(t, demoCall)
	sh := func(line string) ([]byte, error) {
		shell := exec.CommandContext(t.Context(), "sh", "-c", line)
		shell.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		return shell.CombinedOutput()
	}

	out, err := sh(line)
	var cart struct {
		CartID string            `json:"cartId"`
		Items  []json.RawMessage `json:"items"`
	}
	if err == nil {
		err = json.Unmarshal(out, &cart)
	}
	if err != nil || cart.CartID != "anna" || len(cart.Items) == 0 {
		t.Errorf("%s printed %s (%v); want anna's cart", line, out, err)
	}

	line = token.ReplaceAllString(line, "")
	if out, err := sh(line); err == nil || !strings.Contains(string(out), "Code: Unauthenticated") {
		t.Errorf("%s printed %s (%v); want the code Unauthenticated", line, out, err)
	}
	if err := demo.stop(t); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}

// token matches the part of the line that has the token.
var token = regexp.MustCompile(`-H '[^']*'`)
