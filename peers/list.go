package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// listFile is the list of differences, in this repository. It is Markdown with a
// fixed form: a heading of the second level names a suite, and each of the third
// level begins a difference, with three items and then its reason:
//
//   - Tests: `pattern`, `pattern`
//   - Chains: `empty`, `hooks`
//   - Held by: `TestName` in `file_test.go`
//
// In a pattern * matches any text. A difference in the section unseen has a test
// and a reason alone.
const listFile = "docs/differences.md"

// unseen is the heading of the differences that no test of a suite sees.
const unseen = "Seen by no test of the suites"

// listed is a difference that is known.
type listed struct {
	suite, title     string
	tests, chains    []string
	heldBy, heldFile string
	reason           string

	line     int
	occurred map[string][]string // the tests that differed, by chain
}

func (l *listed) seen(chain, test string) { l.occurred[chain] = append(l.occurred[chain], test) }

func (l *listed) saw(chain, test string) bool { return slices.Contains(l.occurred[chain], test) }

func (l *listed) matches(test string) bool {
	return slices.ContainsFunc(l.tests, func(p string) bool { return matches(p, test) })
}

// covered returns the tests that the difference is about, in order.
func (l *listed) covered(bare results) []string {
	var covered []string
	for _, name := range names(bare, passed) {
		if l.matches(name) {
			covered = append(covered, name)
		}
	}
	return covered
}

// matches reports whether a pattern matches the whole of a name.
func matches(pattern, name string) bool {
	expr := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	return regexp.MustCompile("^" + expr + "$").MatchString(name)
}

// find returns the entry for a difference, or nil.
func find(list []*listed, suite, chain, test string) *listed {
	for _, l := range list {
		if l.suite == suite && slices.Contains(l.chains, chain) && l.matches(test) {
			return l
		}
	}
	return nil
}

// readList reads the list of a repository, and checks that the tests it names are
// there.
func readList(root string) ([]*listed, error) {
	text, err := os.ReadFile(filepath.Join(root, listFile))
	if err != nil {
		return nil, err
	}
	list, err := parseList(string(text))
	errs := []error{err}
	for _, l := range list {
		if err := l.checkHeld(root); err != nil {
			errs = append(errs, l.errorf("%w", err))
		}
	}
	return list, errors.Join(errs...)
}

func (l *listed) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %q: "+format, append([]any{listFile, l.line, l.title}, args...)...)
}

// checkHeld reports whether the test that holds the difference is not there.
func (l *listed) checkHeld(root string) error {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(l.heldFile)))
	if err != nil {
		return err
	}
	if !strings.Contains(string(source), "\nfunc "+l.heldBy+"(") {
		return fmt.Errorf("%s has no %s", l.heldFile, l.heldBy)
	}
	return nil
}

var quoted = regexp.MustCompile("`([^`]+)`")

// parseList parses the text of a list.
func parseList(text string) ([]*listed, error) {
	var list []*listed
	var errs []error
	suite := ""
	for i, line := range strings.Split(text, "\n") {
		heading, _ := strings.CutPrefix(line, "### ")
		switch {
		case strings.HasPrefix(line, "## "):
			suite = strings.TrimPrefix(line, "## ")
		case heading != line:
			list = append(list, &listed{suite: suite, title: heading, line: i + 1, occurred: make(map[string][]string)})
		case len(list) > 0 && suite == list[len(list)-1].suite:
			list[len(list)-1].parseLine(line)
		}
	}
	for _, l := range list {
		if err := l.check(); err != nil {
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

// parseLine reads a line of a difference. The tests may go on in further lines,
// which are indented.
func (l *listed) parseLine(line string) {
	values := quoted.FindAllStringSubmatch(line, -1)
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v[1]
	}
	switch {
	case strings.HasPrefix(line, "- Tests:"), strings.HasPrefix(line, "  `"):
		l.tests = append(l.tests, all...)
	case strings.HasPrefix(line, "- Chains:"):
		l.chains = all
	case strings.HasPrefix(line, "- Held by:") && len(all) == 2:
		l.heldBy, l.heldFile = all[0], all[1]
	default:
		l.reason = strings.TrimSpace(l.reason + " " + line)
	}
}

// check reports what a difference lacks.
func (l *listed) check() error {
	switch {
	case l.suite == "":
		return l.errorf("has no suite: a heading of the second level")
	case l.suite != unseen && len(l.tests) == 0:
		return l.errorf("has no tests")
	case l.suite != unseen && len(l.chains) == 0:
		return l.errorf("has no chains")
	case l.heldBy == "":
		return l.errorf("names no test that holds it, as in - Held by: `TestName` in `file_test.go`")
	case len(l.reason) < len("because it is"):
		return l.errorf("has no reason")
	}
	for _, c := range l.chains {
		if !slices.Contains(behind.Chains(), c) {
			return l.errorf("there is no chain %q; want some of %q", c, behind.Chains())
		}
	}
	return nil
}
