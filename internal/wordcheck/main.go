package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

var errFindings = errors.New("wordcheck: there are findings; `go run ./internal/wordcheck -rules` lists the rules")

func main() {
	list := flag.Bool("rules", false, "print the rules and exit")
	flag.Parse()
	if *list {
		printRules(os.Stdout)
		return
	}
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run checks the files that are named in paths and prints the findings to out.
func run(paths io.Reader, out io.Writer) error {
	found := false
	lines := bufio.NewScanner(paths)
	for lines.Scan() {
		findings, err := checkFile(lines.Text())
		if err != nil {
			return err
		}
		for _, f := range findings {
			found = true
			fmt.Fprintln(out, f)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("wordcheck: %w", err)
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
