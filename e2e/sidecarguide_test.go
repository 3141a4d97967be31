package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fenced matches the blocks of code of a page, with the name of the file before them if there is one.
var fenced = regexp.MustCompile("(?:<!-- file (\\S+) -->\n)?```(\\w+)\n((?s:.*?))```\n")

// TestSidecarGuide runs the commands of docs/sidecar.md, except the installation, with other ports. They print what the
// page has.
func TestSidecarGuide(t *testing.T) {
	page, err := os.ReadFile("../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, port := range []string{"50051", "8443", "9464", "9901"} {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, free, _ := net.SplitHostPort(lis.Addr().String())
		_ = lis.Close()
		text = strings.ReplaceAll(text, "127.0.0.1:"+port, "127.0.0.1:"+free)
	}
	dir := t.TempDir()
	var script, want strings.Builder
	script.WriteString("set -e\ntrap 'kill $(jobs -p)' EXIT\n")
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		switch name, language, content := block[1], block[2], block[3]; {
		case name != "":
			write(t, filepath.Join(dir, name), content)
		case language == "sh":
			script.WriteString(content)
		case language == "text":
			want.WriteString(content)
		case language != "console":
			t.Errorf("a block of %s has no file", language)
		}
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+strings.Join([]string{
		filepath.Dir(must(t, "./python-env.sh")), filepath.Dir(binary), os.Getenv("PATH"),
	}, string(os.PathListSeparator)))
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	got := strings.TrimPrefix(string(out), "policy.yaml is valid: 7 entries of server, 0 of client, and the settings of the sidecar\n")
	if err != nil || got != want.String() {
		t.Errorf("%v; it prints\n%s\nwant\n%s\nand on stderr\n%s", err, got, &want, &failed)
	}
}
