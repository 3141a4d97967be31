package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// goTests are the Go tests of packages of a peer. A test's name is that of its
// folder and the test's own: "test Test/ClientStreaming".
type goTests struct {
	w        *workspace
	peer     string
	patterns []string // of packages
	skip     string   // a regular expression of tests that are not run
	timeout  time.Duration

	packages  []goPackage
	converter string
}

type goPackage struct{ path, dir, binary string }

func (g *goTests) build(ctx context.Context) error {
	list, err := g.w.run(ctx, g.peer, append([]string{
		"go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}",
	}, g.patterns...)...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path == "" {
			continue
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(dir, g.w.path(g.peer)), "/")
		if rel == "" {
			rel = "."
		}
		bin := g.w.path("bin", g.peer, strings.ReplaceAll(rel, "/", "_")+".test")
		if _, err := g.w.run(ctx, g.peer, "go", "test", "-c", "-o", bin, path); err != nil {
			return err
		}
		g.packages = append(g.packages, goPackage{path: path, dir: rel, binary: bin})
	}
	g.converter, err = g.w.run(ctx, g.peer, "go", "tool", "-n", "test2json")
	return err
}

func (g *goTests) run(ctx context.Context, chain string, only []string) (results, error) {
	all := make(results)
	for _, pkg := range g.packages {
		args := []string{"-test.v=test2json", "-test.timeout=" + g.timeout.String()}
		var own []string
		for _, name := range only {
			if test, ok := strings.CutPrefix(name, pkg.dir+" "); ok {
				own = append(own, test)
			}
		}
		switch {
		case len(only) > 0 && len(own) == 0:
			continue
		case len(own) > 0:
			args = append(args, "-test.run="+runPattern(own))
		case g.skip != "":
			args = append(args, "-test.skip="+g.skip)
		}
		r, err := g.runPackage(ctx, pkg, chain, args, len(own) == 1)
		if err != nil {
			return nil, err
		}
		all.add(r)
	}
	return all, nil
}

func (g *goTests) runPackage(
	ctx context.Context, pkg goPackage, chain string, args []string, repeated bool,
) (results, error) {
	cmd := exec.CommandContext(ctx, pkg.binary, args...)
	cmd.Dir, cmd.Env = g.w.path(g.peer, pkg.dir), g.w.env(behind.ChainVar+"="+chain)
	cmd.WaitDelay = time.Second
	out, runErr := cmd.CombinedOutput() // an error reports no more than the tests do
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	convert := exec.CommandContext(ctx, g.converter, "-p", pkg.path)
	convert.Stdin = bytes.NewReader(out)
	events, err := convert.Output()
	if err != nil {
		return nil, err
	}
	log := fmt.Sprintf("%s-%s-%s", g.peer, strings.ReplaceAll(pkg.dir, "/", "_"), orBare(chain))
	if repeated {
		log += "-again"
	}
	r, text := parseEvents(events, pkg.dir)
	if logErr := g.w.log(log, text); logErr != nil {
		return nil, logErr
	}
	if len(r) == 0 {
		return nil, fmt.Errorf("%s ran no test: %w\n%s", pkg.path, runErr, tail(string(text)))
	}
	return r, nil
}

func orBare(chain string) string {
	if chain == behind.Bare {
		return "bare"
	}
	return chain
}

// event is a line of go tool test2json.
type event struct {
	Action  string  `json:"Action"`  //nolint:tagliatelle // as go test writes it
	Test    string  `json:"Test"`    //nolint:tagliatelle // as go test writes it
	Output  string  `json:"Output"`  //nolint:tagliatelle // as go test writes it
	Elapsed float64 `json:"Elapsed"` //nolint:tagliatelle // as go test writes it
}

// parseEvents returns the outcomes in the output of test2json, and the tests' own
// output.
func parseEvents(out []byte, dir string) (results, []byte) {
	r := make(results)
	texts := make(map[string]*strings.Builder)
	var text bytes.Buffer
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) != nil {
			text.Write(line)
			continue
		}
		text.WriteString(e.Output)
		if e.Test == "" {
			continue
		}
		name := dir + " " + e.Test
		if texts[name] == nil {
			texts[name] = new(strings.Builder)
		}
		texts[name].WriteString(e.Output)
		took := time.Duration(e.Elapsed * float64(time.Second))
		switch e.Action {
		case "run": // until it ends: a test that crashes does not
			r[name] = outcome{verdict: failed}
		case "pass", "fail", "skip":
			r[name] = outcome{verdict: verdict(e.Action), took: took}
		}
	}
	for name, o := range r {
		if o.verdict == failed {
			o.output = texts[name].String()
			r[name] = o
		}
	}
	return r, text.Bytes()
}

// runPattern returns the pattern for go test -run that matches tests by name. Of
// several tests with subtests it matches all combinations of their parts.
func runPattern(tests []string) string {
	var levels [][]string
	for _, test := range tests {
		for i, part := range strings.Split(test, "/") {
			if i == len(levels) {
				levels = append(levels, nil)
			}
			if part = regexp.QuoteMeta(part); !slices.Contains(levels[i], part) {
				levels[i] = append(levels[i], part)
			}
		}
	}
	patterns := make([]string, len(levels))
	for i, parts := range levels {
		patterns[i] = "^(" + strings.Join(parts, "|") + ")$"
	}
	return strings.Join(patterns, "/")
}
