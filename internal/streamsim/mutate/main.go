// Command mutate checks that exploration finds defects. It makes one change from a list to the
// library at a time, explores, and reports whether a rule was broken.
//
// The list has entries of this form. The old text occurs once in the file:
//
//	=== the buffer is freed too late
//	file: attempt.go
//	rule: h
//	--- old
//	t.messages = nil
//	--- new
//	_ = t
//
// It fails if the unchanged library breaks a rule, if exploration does not find a change, or if a
// change cannot be made.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mutation is a change of one file.
type mutation struct {
	name, file, rule string
	old, new         string
}

func main() {
	list := flag.String("list", "internal/streamsim/mutate/mutations.txt", "the file with the list of changes")
	count := flag.Int("count", 10_000, "the largest number of programs to explore for each change")
	only := flag.String("run", "", "make only changes whose name matches this regular expression")
	base := flag.Bool("base", true, "explore the unchanged library first")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "the number of changes to explore concurrently")
	flag.Parse()
	if err := run(*list, *only, *count, *base, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(list, only string, count int, base bool, workers int) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	mutations, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	name, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	todo := make(chan *mutation)
	go func() {
		defer close(todo)
		if base {
			todo <- nil
		}
		for i := range mutations {
			if name.MatchString(mutations[i].name) {
				todo <- &mutations[i]
			}
		}
	}()
	var t tally
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			if err := t.work(todo, count); err != nil {
				t.add("", 0, err.Error(), false)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d changes, %d not found\n", t.made, t.bad)
	if t.bad > 0 || t.made == 0 {
		return fmt.Errorf("%d of %d changes were not found", t.bad, t.made)
	}
	return nil
}

// tally counts the results of all workers.
type tally struct {
	mu        sync.Mutex
	made, bad int
}

func (t *tally) add(name string, took time.Duration, verdict string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made++
	if !ok {
		t.bad++
	}
	fmt.Printf("%-60s %6.1fs  %s\n", name, took.Seconds(), verdict)
}

// work makes changes, each to the unchanged library. nil means no change.
func (t *tally) work(todo <-chan *mutation, count int) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	e := explorer{dir: dir, count: count}
	for m := range todo {
		start := time.Now()
		if m != nil {
			verdict, ok := e.try(m)
			t.add(m.name, time.Since(start), verdict, ok)
			continue
		}
		found, err := e.explore(nil)
		verdict := "no rule is broken"
		if err != nil {
			verdict = err.Error()
		} else if found != "" {
			verdict = "FOUND: " + found
		}
		t.add("(no change)", time.Since(start), verdict, err == nil && found == "")
	}
	return nil
}

// parse reads a list of changes.
func parse(text string) ([]mutation, error) {
	var list []mutation
	for i, block := range strings.Split("\n"+text, "\n=== ")[1:] {
		head, body, ok1 := strings.Cut(block, "\n--- old\n")
		old, replacement, ok2 := strings.Cut(body, "\n--- new\n")
		lines := strings.Split(head, "\n")
		m := mutation{name: lines[0], old: old, new: strings.TrimRight(replacement, "\n")}
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "file":
				m.file = value
			case "rule":
				m.rule = value
			default:
				return nil, fmt.Errorf("entry %d, %q: unknown line %q", i+1, m.name, line)
			}
		}
		if !ok1 || !ok2 || m.file == "" || m.old == "" {
			return nil, fmt.Errorf("entry %d, %q: it needs file, old and new", i+1, m.name)
		}
		list = append(list, m)
	}
	return list, nil
}

// explorer explores changed libraries.
type explorer struct {
	dir   string
	count int
}

// try makes a change and reports whether exploration finds it.
func (e explorer) try(m *mutation) (verdict string, ok bool) {
	found, err := e.explore(m)
	switch {
	case err != nil:
		return err.Error(), false
	case found == "":
		return "NOT FOUND by " + strconv.Itoa(e.count) + " programs", false
	case m.rule != "" && !strings.Contains(found, "rule "+m.rule):
		return "found: " + found + "; rule " + m.rule + " was expected", true
	default:
		return "found: " + found, true
	}
}

var broken = regexp.MustCompile(`seed \d+ breaks rule \w+ [\w-]+`)

// explore explores the library with a change, and returns the first rule that is
// broken.
func (e explorer) explore(m *mutation) (found string, err error) {
	args := []string{"test", "-c", "-ldflags=-s -w", "-o", filepath.Join(e.dir, "sim.test")}
	if m != nil {
		overlay, err := e.overlay(m)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(context.Background(), "go", append(args, "./internal/streamsim")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not compile: %s", bytes.TrimSpace(out))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tests := "^TestExplore"
	switch {
	case m == nil:
	case strings.HasPrefix(m.name, "server: "):
		tests = "^TestExploreServer$"
	default:
		tests = "^TestExplore(Race)?$"
	}
	test := exec.CommandContext(ctx, filepath.Join(e.dir, "sim.test"), "-test.run="+tests)
	test.Dir = e.dir
	test.Env = append(os.Environ(), "STREAMSIM_FIRST=1", fmt.Sprint("STREAMSIM_COUNT=", e.count))
	out, err := test.CombinedOutput()
	if err == nil {
		return "", nil
	}
	if rule := broken.Find(out); rule != nil {
		return string(rule), nil
	}
	return "", fmt.Errorf("exploration failed: %w\n%s", err, out[max(0, len(out)-2000):])
}

// overlay writes the changed file and an overlay file that replaces the original with it.
func (e explorer) overlay(m *mutation) (string, error) {
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("the old text occurs %d times in %s; want 1", n, m.file)
	}
	changed := filepath.Join(e.dir, "changed.go")
	err = os.WriteFile(changed, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600)
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(e.dir, "overlay.json")
	return overlay, os.WriteFile(overlay, replace, 0o600)
}
