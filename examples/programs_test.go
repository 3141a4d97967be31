package examples_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the programs print to their output.txt")

// runs is how often each program must print the same.
const runs = 5

// TestPrograms builds every program in this module and compares its output with
// output.txt in its folder. A program ends with exit code 0 and writes nothing to the
// standard error. go test does not know the sources of the programs: use -count=1 after a
// change in another package.
func TestPrograms(t *testing.T) {
	bin := t.TempDir()
	within(t, 10*time.Minute, "go", "build", "-o", bin+string(filepath.Separator), "./...")
	for _, dir := range programs(t) {
		name, err := filepath.Rel(workDir(t), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			program := filepath.Join(bin, filepath.Base(dir))
			if runtime.GOOS == "windows" {
				program += ".exe"
			}
			golden := filepath.Join(dir, "output.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(command(t, program)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			for run := range runs {
				if got := command(t, program); got != string(want) {
					t.Fatalf("run %d printed\n%s\nwant, by output.txt (go test -run TestPrograms -update writes it),\n%s",
						run+1, got, want)
				}
			}
		})
	}
}

// programs returns the folders of the programs.
func programs(t *testing.T) []string {
	t.Helper()
	dirs := strings.Fields(command(t, "go", "list", "-f", `{{if eq .Name "main"}}{{.Dir}}{{end}}`, "./..."))
	if len(dirs) < 2 {
		t.Fatalf("found the programs %q; want more", dirs)
	}
	return dirs
}

// command runs a program, which must end within a minute, and returns its output.
func command(t *testing.T, program string, args ...string) string {
	t.Helper()
	return within(t, time.Minute, program, args...)
}

// within runs a program, which must end within limit, and returns its output.
func within(t *testing.T, limit time.Duration, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
