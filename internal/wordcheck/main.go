package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

const pendingFile = "internal/wordcheck/pending.txt"

var errFindings = errors.New("wordcheck: there are findings; `go run ./internal/wordcheck -rules` lists the rules")

func main() {
	all := flag.Bool("all", false, "check the paths in pending.txt too")
	list := flag.Bool("rules", false, "print the rules and exit")
	flag.Parse()
	if *list {
		printRules(os.Stdout)
		return
	}
	if err := run(os.Stdin, os.Stdout, *all); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run checks the files that are named in paths and prints the findings to out.
func run(paths io.Reader, out io.Writer, all bool) error {
	pending, err := readPending(pendingFile)
	if err != nil {
		return err
	}
	found := false
	lines := bufio.NewScanner(paths)
	for lines.Scan() {
		findings, err := checkFile(lines.Text())
		if err != nil {
			return err
		}
		for _, f := range findings {
			if pending.covers(f.path) && !all {
				continue
			}
			found = true
			fmt.Fprintln(out, f)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("wordcheck: %w", err)
	}
	for _, entry := range pending.unused() {
		found = true
		fmt.Fprintf(out, "%s: %s has no findings; remove the entry\n", pendingFile, entry)
	}
	if found {
		return errFindings
	}
	return nil
}

// checkFile checks one file. A file that was deleted, but not committed as such, has no findings.
func checkFile(name string) ([]finding, error) {
	kind := kindOf(name)
	if kind == kindNone {
		return nil, nil
	}
	src, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("wordcheck: %w", err)
	}
	return check(name, kind, string(src)), nil
}

func printRules(out io.Writer) {
	for _, r := range rules {
		fmt.Fprintf(out, "%-28s want %s\n", r.name, r.want)
	}
}

// pendingList is the paths that are not converted yet, and whether each has findings.
type pendingList map[string]bool

func readPending(file string) (pendingList, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("wordcheck: %w", err)
	}
	return parsePending(string(src)), nil
}

// parsePending reads one path a line. Lines that begin with # are comments.
func parsePending(src string) pendingList {
	p := pendingList{}
	for line := range strings.Lines(src) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			p[line] = false
		}
	}
	return p
}

// covers reports whether a file with a finding is pending. An entry is a file, or a folder
// with a slash at its end. It covers the files of that folder, but not of folders in it.
func (p pendingList) covers(file string) bool {
	covered := false
	for _, entry := range []string{file, path.Dir(file) + "/"} {
		if _, ok := p[entry]; ok {
			p[entry] = true
			covered = true
		}
	}
	return covered
}

func (p pendingList) unused() []string {
	var paths []string
	for entry, used := range p {
		if !used {
			paths = append(paths, entry)
		}
	}
	slices.Sort(paths)
	return paths
}
