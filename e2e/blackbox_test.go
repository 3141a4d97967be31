package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rounds returns the number of runs of the checks: HAUBERK_E2E_ROUNDS if it is set, otherwise 2,
// or 1 with -short.
func rounds(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("HAUBERK_E2E_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("HAUBERK_E2E_ROUNDS is %q; want a number above 0", text)
		}
		return n
	}
	if testing.Short() {
		return 1
	}
	return 2
}

// For a grpcio client, a grpcio server behaves the same behind the sidecar as without it, in all
// 64 checks of blackbox.py. These compare all metadata, so that the sidecar must not add x-forwarded-for.
func TestBlackbox(t *testing.T) {
	python := must(t, "./python-env.sh")
	direct := start(t, nil, python, "blackbox/pyserver.py").says(t, listening)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) { blackbox(t, python, direct, 400, "--transport", transport) })
	}
	empty := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, empty, "version: 1\n")
	t.Run("without interceptors", func(t *testing.T) { blackbox(t, python, direct, 0, "-c", empty) })
}

// blackbox runs all rounds of the checks. The sidecar logs at least records calls in each.
func blackbox(t *testing.T, python, direct string, records int, flags ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	gate, target := sidecar(t, log, direct, append(flags, "--forward-address=false")...)

	for round := range rounds(t) {
		t.Run("round"+strconv.Itoa(round+1), func(t *testing.T) {
			out, err := run(t.Context(), python, "blackbox/blackbox.py", "--direct", direct, "--target", target)
			for _, want := range []string{
				"64 checks, 0 failed",
				"differential: 64 compared, 0 differ; direct itself failed: []",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("the output of the checks has no %q", want)
				}
			}
			if err != nil || t.Failed() {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if err := gate.stop(t); err != nil {
		t.Errorf("the sidecar ended with %v:\n%s", err, &gate.said)
	}
	checkLog(t, log.Name(), records*rounds(t))
}

// checkLog checks that each line of the sidecar's log is a JSON object, and that the log has records
// of at least minimum calls.
func checkLog(t *testing.T, name string, minimum int) {
	t.Helper()
	log, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	calls := 0
	for scanner := bufio.NewScanner(log); scanner.Scan(); {
		var record struct {
			Message   string `json:"msg"`
			Service   string `json:"rpc.service"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &record); err != nil {
			t.Fatalf("%v in the log line %s", err, scanner.Bytes())
		}
		if record.Message == "call ended" && record.Service != "" && record.RequestID != "" {
			calls++
		}
	}
	if calls < minimum {
		t.Errorf("the log has %d calls, want at least %d", calls, minimum)
	}
}
