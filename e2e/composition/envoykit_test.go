package composition_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
)

// envoy is a running Envoy with one listener.
type envoy struct{ admin, target string }

// startEnvoy starts an Envoy with a configuration of e2e/envoy, until the test ends.
func startEnvoy(t *testing.T, configuration string, data any) *envoy {
	t.Helper()
	python, err := exec.CommandContext(t.Context(), "../python-env.sh", "envoy").Output()
	if err != nil {
		t.Fatal(err)
	}
	found, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(python)), "-c",
		"import envoy._bin, os; print(os.path.join(envoy._bin.__path__[0], 'envoy'), end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, adminFile := filepath.Join(t.TempDir(), "envoy.yaml"), filepath.Join(t.TempDir(), "admin")
	config, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	err = template.Must(template.ParseFiles(filepath.Join("..", "envoy", configuration))).Execute(config, data)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), string(found), "-c", file, "--admin-address-path", adminFile,
		"--disable-hot-restart", "--concurrency", "1", "--log-level", "info", "--log-format", "%v")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	for ready := false; !ready; ready = strings.Contains(lines.Text(), "starting workers") {
		if !lines.Scan() {
			t.Fatal("Envoy has ended")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	admin, err := os.ReadFile(adminFile)
	if err != nil {
		t.Fatal(err)
	}
	e := &envoy{admin: string(admin)}
	var listeners struct {
		Statuses []struct {
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(e.get(t, "listeners?format=json"), &listeners); err != nil || len(listeners.Statuses) != 1 {
		t.Fatalf("listeners %+v, %v", listeners, err)
	}
	e.target = fmt.Sprint(listeners.Statuses[0].Address.Socket.Address, ":", listeners.Statuses[0].Address.Socket.Port)
	return e
}

// get returns a page of the administration.
func (e *envoy) get(t *testing.T, page string) []byte {
	t.Helper()
	resp, err := http.Get("http://" + e.admin + "/" + page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// requests returns how many requests it has received.
func (e *envoy) requests(t *testing.T) int {
	t.Helper()
	_, count, _ := strings.Cut(string(e.get(t, "stats?filter=^http.faults.downstream_rq_total$")), ": ")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
