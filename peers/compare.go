package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// suite is a project's tests.
type suite struct {
	name   string
	chains []string
	tests  tests
}

// tests can be run.
type tests interface {
	// build builds what is needed.
	build(ctx context.Context) error
	// run runs the tests with a chain: all, or only those named.
	run(ctx context.Context, chain string, only []string) (results, error)
}

func suiteNames(all []suite) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.name
	}
	return names
}

// attempts is how often a failed test is repeated alone.
const attempts = 3

// comparison collects what is wrong.
type comparison struct {
	work    *workspace
	list    []*listed
	partial bool     // not all tests run
	only    []string // the tests that do, all if empty
	wrong   []string
}

func (c *comparison) failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Println("  " + strings.ReplaceAll(text, "\n", "\n  "))
	c.wrong = append(c.wrong, text)
}

// suite compares a suite's tests.
func (c *comparison) suite(ctx context.Context, s suite) error {
	fmt.Printf("\n== %s\n", s.name)
	start := time.Now()
	if err := s.tests.build(ctx); err != nil {
		return err
	}
	fmt.Printf("built in %s\n", since(start))
	bare, err := c.bare(ctx, s)
	if err != nil {
		return err
	}
	for _, chain := range s.chains {
		if err := c.chain(ctx, s, chain, bare); err != nil {
			return fmt.Errorf("chain %s: %w", chain, err)
		}
	}
	return nil
}

func since(start time.Time) time.Duration { return time.Since(start).Round(time.Second / 10) }

// bare runs a suite without a chain.
func (c *comparison) bare(ctx context.Context, s suite) (results, error) {
	start := time.Now()
	bare, err := s.tests.run(ctx, behind.Bare, c.only)
	if err != nil {
		return nil, err
	}
	for _, name := range names(bare, failed) {
		if hasFailedSubtest(bare, name) {
			continue
		}
		again, err := repeat(ctx, s, behind.Bare, name, func(o outcome) bool { return o.verdict == passed })
		if err != nil {
			return nil, err
		}
		if again.verdict == passed {
			bare[name] = again
		} else {
			fmt.Printf("  fails bare, not compared: %s\n", name)
		}
	}
	if bare.count(passed) == 0 {
		return nil, errors.New("no test passes bare")
	}
	fmt.Printf("bare: %d pass, %d fail, %d are skipped, in %s\n",
		bare.count(passed), bare.count(failed), bare.count(skipped), since(start))
	return bare, nil
}

func names(r results, v verdict) []string {
	var list []string
	for name, o := range r {
		if o.verdict == v {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func hasFailedSubtest(r results, name string) bool {
	for sub, o := range r {
		if o.verdict == failed && strings.HasPrefix(sub, name+"/") {
			return true
		}
	}
	return false
}

// repeat runs a test alone until done says so, at most a few times, and returns
// its last outcome.
func repeat(ctx context.Context, s suite, chain, name string, done func(outcome) bool) (outcome, error) {
	var last outcome
	for range attempts {
		r, err := s.tests.run(ctx, chain, []string{name})
		if err != nil {
			return outcome{}, err
		}
		if last = r[name]; done(last) {
			break
		}
	}
	return last, nil
}

// chain runs a suite with a chain and compares.
func (c *comparison) chain(ctx context.Context, s suite, chain string, bare results) error {
	start := time.Now()
	check, err := c.work.unused()
	if err != nil {
		return err
	}
	got, err := c.runAll(ctx, s, chain, bare)
	if err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	known, flaky := 0, 0
	for _, name := range differing(bare, got) {
		if entry := find(c.list, s.name, chain, name); entry != nil {
			entry.seen(chain, name)
			known++
			continue
		}
		same := func(o outcome) bool { _, differs := difference(bare[name], o); return !differs }
		o, err := repeat(ctx, s, chain, name, same)
		if err != nil {
			return err
		}
		if same(o) {
			fmt.Printf("  passes alone: %s\n", name)
			flaky++
			continue
		}
		how, _ := difference(bare[name], o)
		c.failf("not listed: suite %s, chain %s, test %s: %s\n%s", s.name, chain, name, how, tail(o.output))
	}
	if err := c.gone(ctx, s, chain, bare, got); err != nil {
		return err
	}
	fmt.Printf("%s: %d pass, %d listed differences, %d pass alone, in %s\n",
		chain, got.count(passed), known, flaky, since(start))
	return nil
}

// runAll runs a suite, and the tests that a crash left out again without what
// crashed.
func (c *comparison) runAll(ctx context.Context, s suite, chain string, bare results) (results, error) {
	got, err := s.tests.run(ctx, chain, c.only)
	if err != nil {
		return nil, err
	}
	for {
		var left []string
		for name := range bare {
			if got[name].verdict == "" && bare[name].verdict == passed && !hasEnded(got, name) {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			return got, nil
		}
		slices.Sort(left)
		more, err := s.tests.run(ctx, chain, left)
		if err != nil {
			return nil, err
		}
		before := len(got)
		got.add(more)
		if len(got) == before {
			return got, nil
		}
	}
}

// gone reports the listed differences that do not occur any more.
func (c *comparison) gone(ctx context.Context, s suite, chain string, bare, got results) error {
	for _, entry := range c.list {
		if entry.suite != s.name || !slices.Contains(entry.chains, chain) {
			continue
		}
		for _, name := range entry.covered(bare) {
			if entry.saw(chain, name) {
				continue
			}
			differs := func(o outcome) bool { _, differs := difference(bare[name], o); return differs }
			if hasDifferingSubtest(bare, got, name) {
				continue // its subtests are the difference
			}
			o, err := repeat(ctx, s, chain, name, differs)
			if err != nil {
				return err
			}
			if differs(o) {
				entry.seen(chain, name)
				continue
			}
			c.failf("listed, but does not occur: suite %s, chain %s, test %s (%q)", s.name, chain, name, entry.title)
		}
	}
	return nil
}

func hasDifferingSubtest(bare, got results, name string) bool {
	for sub, b := range bare {
		if _, differs := difference(b, got[sub]); differs && strings.HasPrefix(sub, name+"/") {
			return true
		}
	}
	return false
}

// verdict returns what is wrong.
func (c *comparison) verdict() error {
	if !c.partial {
		for _, entry := range c.list {
			for _, chain := range entry.chains {
				if len(entry.occurred[chain]) == 0 {
					c.failf("listed, but no test of suite %s, chain %s, matches: %q", entry.suite, chain, entry.title)
				}
			}
		}
	}
	if len(c.wrong) > 0 {
		return fmt.Errorf("%d tests are not as %s says", len(c.wrong), listFile)
	}
	fmt.Printf("\nall differences from bare grpc-go are those of %s\n", listFile)
	return nil
}

var (
	grpcLog  = regexp.MustCompile(`^ *tlogger\.go:`)
	otherLog = regexp.MustCompile(`^ *([a-z0-9_]+\.go:\d+:|--- |=== )`)
)

// tail returns the last lines of a test's output, without those of grpc-go's log.
func tail(out string) string {
	const most = 12
	var lines []string
	logging := false
	for line := range strings.Lines(out) {
		if grpcLog.MatchString(line) {
			logging = true
		} else if otherLog.MatchString(line) {
			logging = false
		}
		if !logging {
			lines = append(lines, "    "+strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
