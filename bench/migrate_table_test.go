package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// guideRow is a row of a table: a name of the other library, its counterpart here, and a
// note.
type guideRow struct{ there, here, note string }

func checkTable(t *testing.T, path string, rows []guideRow, exported map[string]bool, here map[string]map[string]bool) {
	t.Helper()
	if len(exported) == 0 {
		t.Errorf("the test found no exported name in %s", path)
	}
	seen := make(map[string]bool)
	for _, row := range rows {
		switch {
		case seen[row.there]:
			t.Errorf("%s: %s has two rows", path, row.there)
		case !exported[row.there]:
			t.Errorf("%s: %s has a row and does not exist", path, row.there)
		}
		seen[row.there] = true
		if fault := faultOf(row, here); fault != "" {
			t.Errorf("%s: the row of %s: %s", path, row.there, fault)
		}
	}
	for name := range exported {
		if !seen[name] {
			t.Errorf("%s: %s has no row", path, name)
		}
	}
}

var (
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	identifier = regexp.MustCompile(`^(\w+)\.(\w+(?:\.\w+)?)$`)
)

// faultOf returns what is wrong with the counterpart of a row, or "".
func faultOf(row guideRow, here map[string]map[string]bool) string {
	if row.here == "none" || row.here == "none yet" {
		if !strings.HasPrefix(row.note, "because ") {
			return `"` + row.here + `" without a note that begins with "because"`
		}
		return ""
	}
	spans := codeSpan.FindAllStringSubmatch(row.here, -1)
	if len(spans) == 0 {
		return "no counterpart, and not \"none\""
	}
	for _, span := range spans {
		parts := identifier.FindStringSubmatch(span[1])
		if parts == nil {
			return "`" + span[1] + "` is not of the form package.Name or package.Type.Name"
		}
		if !here[counterparts[parts[1]]][parts[2]] {
			return "there is no `" + span[1] + "`"
		}
	}
	return ""
}

var tableHead = regexp.MustCompile(`^<!-- package (\S+) -->$`)

// tablesOf returns the rows of a guide's tables by package. A comment before each table
// names the package.
func tablesOf(t *testing.T, guide string) map[string][]guideRow {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string][]guideRow)
	path := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		head := tableHead.FindStringSubmatch(line)
		switch {
		case head != nil:
			path = head[1]
		case !strings.HasPrefix(line, "|"):
			path = ""
		case path != "" && strings.HasPrefix(line, "| `"):
			tables[path] = append(tables[path], rowOf(t, line))
		}
	}
	return tables
}

func rowOf(t *testing.T, line string) guideRow {
	t.Helper()
	cells := strings.Split(strings.Trim(line, "|"), "|")
	if len(cells) != 3 {
		t.Fatalf("%d cells, want 3: %s", len(cells), line)
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return guideRow{strings.Trim(cells[0], "`"), cells[1], cells[2]}
}

// TestMigrationGuideTables: the test of the guides finds faults in rows.
func TestMigrationGuideTables(t *testing.T) {
	here := exportsOf(t, counterparts["hauberk"], counterparts["logging"])
	for _, test := range []struct {
		row  guideRow
		want string
	}{
		{guideRow{"A", "`hauberk.For`", ""}, ""},
		{guideRow{"A", "`logging.Config.Levels`, `hauberk.Call.OnSend`, `hauberk.Key.Get`", ""}, ""},
		{guideRow{"A", "none", "because no one needs it"}, ""},
		{guideRow{"A", "none", "it is not needed"}, `without a note that begins with "because"`},
		{guideRow{"A", "`hauberk.NotThere`", ""}, "there is no `hauberk.NotThere`"},
		{guideRow{"A", "`logging.Config.NotThere`", ""}, "there is no"},
		{guideRow{"A", "`elsewhere.For`", ""}, "there is no"},
		{guideRow{"A", "`hauberk.For(pattern)`", ""}, "is not of the form"},
		{guideRow{"A", "something", ""}, "no counterpart"},
	} {
		if got := faultOf(test.row, here); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%+v: fault %q, want one with %q", test.row, got, test.want)
		}
	}
}
