package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/cli"
)

// TestPages: each command has a page with its text and its flags, and nothing in it depends on the time.
func TestPages(t *testing.T) {
	files, err := generate(cli.Root())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := string(files[name])
		count++
		if !strings.Contains(page, ".SH NAME") || !strings.Contains(page, cmd.Short) {
			t.Errorf("%s does not have %q:\n%s", name, cmd.Short, page)
		}
		for _, date := range []string{"1970", time.Now().Format("2006")} {
			if strings.Contains(strings.Split(page, ".SH NAME")[0], date) {
				t.Errorf("%s has a date", name)
			}
		}
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				check(child)
			}
		}
	}
	check(cli.Root())
	if count < 4 {
		t.Errorf("%d commands; want at least 4", count)
	}
	if got := len(files); got != count+4 {
		t.Errorf("%d files for %d commands; want a page for each and four completions", got, count)
	}
	if !strings.Contains(string(files["hauberk-run.1"]), "upstream") {
		t.Error("hauberk-run.1 does not have the flag upstream")
	}
	again, err := generate(cli.Root())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if !bytes.Equal(content, again[name]) {
			t.Errorf("%s differs in the second run", name)
		}
	}
}

// TestBash: Bash accepts the completions.
func TestBash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manual")
	if err := run([]string{dir}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "bash", "-n", filepath.Join(dir, "hauberk.bash")).CombinedOutput(); err != nil {
		t.Errorf("bash -n: %v\n%s", err, out)
	}
	if info, err := os.Stat(filepath.Join(dir, "hauberk.1")); err != nil || info.Size() == 0 {
		t.Errorf("hauberk.1: %v, %v", info, err)
	}
}

// TestWrong: bad arguments.
func TestWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"a", "b"}, {file}} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
