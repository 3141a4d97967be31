package sidecar

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// modules installs grpc-js as package-lock.json has it, once, and returns the folder with the peers.
var modules = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(scratch, "grpcjs")
	if err := os.CopyFS(dir, os.DirFS("grpcjs")); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// TestManyStreams: a client of grpc-js has 10,000 open streams on one connection. It receives all messages that the
// server of grpc-js sends back, and the sidecar uses little memory for each.
func TestManyStreams(t *testing.T) {
	const streams = 10_000
	_ = program(t, "hauberk") // makes the folder of the programs
	dir, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	server := run(t, "node", filepath.Join(dir, "server.js"))
	w := &world{backend: server.says(t, `^listening on (\S+), ready$`)}
	w.startSidecar(t, "127.0.0.1:0", "--max-streams", strconv.Itoa(streams))
	before := w.rss(t)
	client := run(t, "node", filepath.Join(dir, "client.js"), w.addr, strconv.Itoa(streams))
	client.says(t, `^all (\d+) streams are open$`)
	each := (w.rss(t) - before) / streams
	t.Logf("an open stream uses %d KiB", each>>10)
	if each > 64<<10 {
		t.Errorf("an open stream uses %d bytes", each)
	}
	select {
	case <-client.ended:
	case <-time.After(patience):
		t.Error("the client does not end")
		client.kill()
	}
	if client.err != nil {
		t.Errorf("the client ended with %v:\n%s", client.err, client.output())
	}
}

// rss returns the memory of the sidecar, in bytes.
func (w *world) rss(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.sidecar.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no VmRSS in\n%s", text)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
