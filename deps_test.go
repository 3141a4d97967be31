package hauberk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hauberk-rpc/hauberk"

// goPackage is what go list reports about a package.
type goPackage struct {
	ImportPath string
	Name       string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string
	Deps       []string
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Standard,Module,Imports,Deps"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) { //nolint:musttag // the fields are called as go list calls them
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// room returns where in the module a package is, "" for the root.
func (p goPackage) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// under reports whether a place in the module is in one of these folders.
func under(room string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return room == f || strings.HasPrefix(room, f+"/") })
}

// Interceptors with a backend. Programs that import them link more packages.
var withBackend = []string{
	"interceptors/authn/authnjwt",
	"interceptors/authn/authnmtls",
	"interceptors/authn/authnoauth2",
	"interceptors/authz",
	"interceptors/idempotency/idempotencyredis",
	"interceptors/metrics/metricsotel",
	"interceptors/metrics/metricsprom",
	"interceptors/ratelimit/ratelimitredis",
	"interceptors/ratelimit/ratelimitrls",
	"interceptors/ratelimit/rlsserver",
	"interceptors/tracing",
	"interceptors/validate",
}

// lean returns the packages of the module whose users link nothing beyond gRPC,
// protobuf and the standard library.
func lean(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, p := range goList(t, "./...") {
		room := p.room()
		if room == "" || under(room, "interceptors", "callkey", "field", "future", "keypair", "retrybudget", "internal/engine") && !under(room, withBackend...) {
			paths = append(paths, p.ImportPath)
		}
	}
	return paths
}

// TestLeanDependencies looks at everything that the lean packages link, at any
// depth.
func TestLeanDependencies(t *testing.T) {
	allowed := []string{
		module,
		"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc",
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text",
	}
	var seen []string
	for _, p := range goList(t, append([]string{"-deps"}, lean(t)...)...) {
		if p.Standard {
			continue
		}
		if p.Module == nil || !slices.Contains(allowed, p.Module.Path) {
			t.Errorf("%s is linked; allowed is only what is in %s", p.ImportPath, strings.Join(allowed, ", "))
			continue
		}
		if p.Module.Path == module && p.ImportPath != module &&
			!under(p.room(), "interceptors", "callkey", "field", "future", "keypair", "retrybudget", "internal", "proto") {
			t.Errorf("%s is linked into programs that import only interceptors", p.ImportPath)
		}
		seen = append(seen, p.Module.Path)
	}
	for _, m := range []string{module, "google.golang.org/grpc", "google.golang.org/protobuf"} {
		if !slices.Contains(seen, m) {
			t.Errorf("go list does not show %s: the test looks at nothing", m)
		}
	}
}

type direction struct {
	room string
	may  []string
}

// The layers, the more special first, and what each may import in addition to packages of
// its own folder. Tests are free.
var directions = []direction{
	{"internal/engine", []string{}},
	{"internal/policypb", []string{"proto"}},
	{"internal/callcel", []string{"", "internal"}},
	{"internal/responsemd", []string{""}},
	{"internal/callstate", []string{""}},
	{"internal/fieldpath", []string{"internal", "proto"}},
	{"internal/idempotency", []string{"", "internal"}},
	{"internal/answerkey", []string{"", "internal", "proto"}},
	{"internal", []string{"internal"}},
	{"callkey", []string{"", "internal"}},
	{"callexpr", []string{"", "callkey", "field", "internal"}},
	{"field", []string{"", "callkey", "internal"}},
	{"hauberktest", []string{"", "internal"}},
	{"retrybudget", []string{"internal"}},
	{"interceptors", []string{"", "callkey", "internal", "retrybudget"}},
	{"future", []string{"", "internal"}},
	{"keypair", []string{"internal"}},
	{"policy", []string{"", "callexpr", "callkey", "field", "internal", "interceptors", "keypair", "retrybudget"}},
	{"gateway", []string{"", "internal", "keypair", "policy"}},
	{"console", []string{"", "internal", "policy"}},
	{"e2e/contract", []string{"", "callexpr", "callkey", "interceptors", "future", "policy", "gateway", "hauberktest", "retrybudget"}},
	{"e2e/attacks", []string{"", "callexpr", "callkey", "interceptors", "keypair", "policy", "gateway", "hauberktest", "retrybudget"}},
	{"e2e/composition", []string{"", "callkey", "interceptors", "hauberktest", "retrybudget"}},
	{"e2e/reports", []string{"", "callkey", "interceptors", "hauberktest"}},
	{"e2e", []string{}},
	{"scripts", []string{}},
	{"cmd", []string{"", "callexpr", "callkey", "internal", "interceptors", "future", "keypair", "retrybudget", "policy", "gateway", "console"}},
	{"proto", []string{}},
	{"", []string{"internal", "proto"}},
}

// TestImportDirections holds that a package imports only layers above it.
func TestImportDirections(t *testing.T) {
	for _, p := range goList(t, "./...") {
		for _, imported := range p.Imports {
			to := goPackage{ImportPath: imported}
			if under(imported, module) && !mayImport(t, p.room(), to.room()) {
				t.Errorf("%s imports %s, which is not in a layer above it", p.ImportPath, imported)
			}
		}
	}
}

func mayImport(t *testing.T, from, to string) bool {
	t.Helper()
	within := func(room string) func(d string) bool {
		return func(d string) bool { return room == d || d != "" && under(room, d) }
	}
	at := slices.IndexFunc(directions, func(d direction) bool { return within(from)(d.room) })
	if at < 0 {
		t.Errorf("%s is in no room: say in directions what it may import", from)
		return false
	}
	d := directions[at]
	own := ownFolder(from, d.room)
	return own != "" && under(to, own) || slices.ContainsFunc(d.may, within(to))
}

// ownFolder returns the folder that a package belongs to: that of its room, or
// where a room has one folder for each thing, that folder.
func ownFolder(from, room string) string {
	if room != "interceptors" && room != "internal/engine" && room != "cmd" {
		return room
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(from, room+"/"), "/")
	return path.Join(room, name)
}

// TestMayImport holds the rule itself.
func TestMayImport(t *testing.T) {
	cases := []struct {
		from, to string
		want     bool
	}{
		{"", "internal/engine/backoff", true},
		{"", "interceptors/retry", false},
		{"", "hauberktest", false},
		{"internal/engine/breaker", "internal/engine/window", false},
		{"internal/engine/breaker", "internal/engine/breaker/model", true},
		{"internal/engine/breaker", "", false},
		{"interceptors/retry", "", true},
		{"interceptors/retry", "internal/engine/backoff", true},
		{"interceptors/retry", "interceptors/hedge", false},
		{"interceptors/metrics/metricsotel", "interceptors/metrics", true},
		{"interceptors/retry", "hauberktest", false},
		{"interceptors/ratelimit", "callkey", true},
		{"interceptors/retry", "retrybudget", true},
		{"retrybudget", "", false},
		{"interceptors/ratelimit", "callexpr", false},
		{"callkey", "callexpr", false},
		{"callexpr", "internal/callcel", true},
		{"internal/callcel", "", true},
		{"internal/callcel", "callkey", false},
		{"internal/pattern", "", false},
		{"hauberktest", "hauberktest/testpb", true},
		{"policy", "interceptors/retry", true},
		{"policy", "gateway", false},
		{"gateway", "policy", true},
		{"gateway", "interceptors/retry", false},
		{"console", "gateway", false},
		{"e2e", "", false},
		{"e2e/contract", "interceptors/retry", true},
		{"e2e/attacks", "interceptors/authz", true},
		{"e2e/attacks", "internal/pattern", false},
		{"cmd/hauberk", "gateway", true},
		{"cmd/hauberk", "hauberktest", false},
		{"cmd/hauberk/internal/demo", "cmd/hauberk/internal/demo/shoppb", true},
	}
	for _, c := range cases {
		if got := mayImport(t, c.from, c.to); got != c.want {
			t.Errorf("%q may import %q: %t, want %t", c.from, c.to, got, c.want)
		}
	}
}
