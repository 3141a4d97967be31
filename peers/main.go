package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// options are the program's flags.
type options struct {
	root, work    string
	short         bool
	suites, chain string
	only          string
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the root of this repository")
	flag.StringVar(&o.work, "work", "", "the work `folder` (default: .peers in the root)")
	flag.BoolVar(&o.short, "short", false, "run a part of the suites that takes a few minutes")
	flag.StringVar(&o.suites, "suite", "", "run only these suites, `names` separated by commas")
	flag.StringVar(&o.chain, "chain", "", "run only with these chains, `names` separated by commas")
	flag.StringVar(&o.only, "run", "", "run only these tests of the suites, `names` separated by commas")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	if o.work == "" {
		o.work = filepath.Join(root, ".peers")
	}
	list, err := readList(root)
	if err != nil {
		return err
	}
	w, err := newWorkspace(ctx, root, o.work)
	if err != nil {
		return err
	}
	all := suites(w, o.short)
	picked, err := pick(o, all)
	if err != nil {
		return err
	}
	c := comparison{
		work: w, list: list,
		partial: o.short || o.suites != "" || o.chain != "" || o.only != "",
	}
	if o.only != "" {
		c.only = strings.Split(o.only, ",")
	}
	for _, s := range picked {
		if err := c.suite(ctx, s); err != nil {
			return fmt.Errorf("suite %s: %w", s.name, err)
		}
	}
	return c.verdict()
}

// pick returns the suites and chains that the flags name.
func pick(o options, all []suite) ([]suite, error) {
	names, err := choose(o.suites, suiteNames(all))
	if err != nil {
		return nil, err
	}
	chains, err := choose(o.chain, behind.Chains())
	if err != nil {
		return nil, err
	}
	var picked []suite
	for _, s := range all {
		if !slices.Contains(names, s.name) {
			continue
		}
		s.chains = slices.DeleteFunc(slices.Clone(s.chains), func(c string) bool { return !slices.Contains(chains, c) })
		picked = append(picked, s)
	}
	return picked, nil
}

// choose returns the names in a list separated by commas, all of them for "".
func choose(list string, from []string) ([]string, error) {
	if list == "" {
		return from, nil
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.Contains(from, n) {
			return nil, fmt.Errorf("there is no %q; want some of %q", n, from)
		}
	}
	return names, nil
}
