//go:build delivery

package deploy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReproducible: two builds in different folders give the same binary.
func TestReproducible(t *testing.T) {
	k, _ := configs(t)
	var sums [][32]byte
	for range 2 {
		dir := t.TempDir()
		source := filepath.Join(dir, "source")
		copySource(t, source)
		sums = append(sums, build(t, k, source, filepath.Join(dir, "hauberk")))
	}
	if sums[0] != sums[1] {
		t.Errorf("the SHA-256 of two builds are %x and %x", sums[0], sums[1])
	}
}

// copySource copies the root module into a folder.
func copySource(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel("..", path)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || name[0] == '.' || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go") || name[0] == '.' {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// build builds the binary as ko does, and returns its hash.
func build(t *testing.T, k ko, source, binary string) [32]byte {
	t.Helper()
	b := k.Builds[0]
	args := append([]string{"build", "-o", binary}, b.Flags...)
	args = append(args, "-ldflags="+strings.Join(b.Ldflags, " "), b.Main)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = source, append(os.Environ(), append(b.Env, "GOWORK=off")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(filepath.Dir(source))) {
		t.Error("the binary has the name of the folder that it was built in")
	}
	return sha256.Sum256(data)
}
