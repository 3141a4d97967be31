package contract_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// TestScenarios runs every scenario and compares the outcome with grpcio's.
func TestScenarios(t *testing.T) {
	compareAll(t,
		folder(os.Getenv("HAUBERK_SCENARIOS"), "testdata/scenarios"),
		folder(os.Getenv("HAUBERK_GOLDEN"), "testdata/golden"))
}

// TestPrimitives does the same for primitives that no other scenario uses.
func TestPrimitives(t *testing.T) {
	compareAll(t, "testdata/primitives/scenarios", "testdata/primitives/golden")
}

// folder returns the folder that an environment variable names, or otherwise. A relative path may
// start at the repository.
func folder(named, otherwise string) string {
	named = cmp.Or(named, otherwise)
	if _, err := os.Stat(named); err != nil && !filepath.IsAbs(named) {
		return filepath.Join("..", "..", named)
	}
	return named
}

// compareAll runs the scenarios of a folder. A golden file without a scenario is an error.
func compareAll(t *testing.T, scenarios, golden string) {
	t.Helper()
	names := slices.Concat(namesIn(t, scenarios), namesIn(t, golden))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			compareOne(t, filepath.Join(scenarios, name+".json"), filepath.Join(golden, name+".json"))
		})
	}
}

// namesIn returns the names of the files in a folder.
func namesIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no .json files (%v)", folder, err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files
}

// compareOne runs a scenario and compares it with its golden file.
func compareOne(t *testing.T, scenarioPath, goldenPath string) {
	t.Helper()
	golden, err := readGeneric(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	if golden["portable"] != "yes" {
		t.Fatalf("%s is portable: %v; want only scenarios that can be compared here", goldenPath, golden["portable"])
	}
	sc, err := readScenario(scenarioPath)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t.Context(), t, sc)
	if err != nil {
		t.Fatal(err)
	}
	found, err := compareWith(t, golden, out)
	if err != nil {
		t.Fatal(err)
	}
	report := t.Errorf
	if golden["portable"] == "optional" {
		report = t.Logf
	}
	for _, d := range found {
		report("%s", d)
	}
}

// compareWith writes the outcome and compares the written form.
func compareWith(t *testing.T, golden map[string]any, out *outcome) ([]string, error) {
	t.Helper()
	written := cmp.Or(os.Getenv("HAUBERK_OUTCOMES"), t.TempDir())
	if err := out.write(written); err != nil {
		return nil, err
	}
	other, err := readGeneric(filepath.Join(written, out.Scenario+".json"))
	if err != nil {
		return nil, err
	}
	return compare(golden, other)
}
