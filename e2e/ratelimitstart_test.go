package e2e_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// SIGHUP while the server starts does not end it: the file is read again when the server listens.
func TestRateLimitReloadAtStart(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, next := filepath.Join(dir, "limits.yaml"), filepath.Join(dir, "next.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, next, limitsOf("5", "enforce")+"  - domain: other\n    descriptors: [{key: new, limit: 1/1s}]\n")
	p := start(t, nil, binary, "ratelimit-service", "--config", file, "--listen", "127.0.0.1:0")
	first, err := os.OpenFile(file, os.O_WRONLY, 0) // when the server reads it
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	_, _ = first.WriteString(limitsOf("5", "enforce"))
	_ = first.Close()
	p.says(t, `^hauberk: (listening) on 127\.0\.0\.1:\d+, 6 limits$`)
	p.says(t, `^hauberk: (reloaded) .*limits\.yaml, 7 limits$`)
	if err := p.stop(t); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, &p.said)
	}
}
