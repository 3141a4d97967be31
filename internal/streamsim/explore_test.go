package streamsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Settings, all in the environment:
//
//	STREAMSIM_SEED    TestSeed runs the program of this seed and prints its trace
//	STREAMSIM_COUNT   number of programs that TestExplore runs
//	STREAMSIM_FIRST   stop at the first program that breaks a rule, and do not minimize it
//	STREAMSIM_LIST    the name of a file to which every violation is added, one a line
//	STREAMSIM_CALM    no panics of the transport
//	STREAMSIM_WAITS   most programs have hooks with a context that wait, or read the first message
//	HAUBERK_SOAK      duration of TestSoakExplore
const (
	envSeed  = "STREAMSIM_SEED"
	envCount = "STREAMSIM_COUNT"
	envFirst = "STREAMSIM_FIRST"
	envList  = "STREAMSIM_LIST"
	envCalm  = "STREAMSIM_CALM"
	envWaits = "STREAMSIM_WAITS"
	envChild = "STREAMSIM_CHILD" // set for the process that runs the programs: the name of a file with a job
)

// job is the task of a child process.
type job struct {
	First    uint64        // seed
	Count    uint64        // of programs
	For      time.Duration // if it is not 0, used instead of Count
	Reported []rule        // rules that need no report
	Program  *program      // to run instead of the others
}

// result is the result of a child process. It is written again when it changes.
type result struct {
	Ran     uint64
	Broken  map[rule]int
	Reports map[rule]string
}

// explore runs a program and checks it.
func explore(t *testing.T, p *program) *world {
	w := run(t, p, false)
	if slices.Contains(w.broken(), ruleLock) {
		return w // its goroutines may still run
	}
	w.check()
	if p.Tidy && p.transparent() && len(w.violations) == 0 {
		w.compare(run(t, p, true))
	}
	return w
}

// broken returns the rules that a run broke.
func (w *world) broken() []rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []rule
	for _, v := range w.violations {
		if !slices.Contains(list, v.rule) {
			list = append(list, v.rule)
		}
	}
	return list
}

// TestSoakExplore runs programs from new seeds for the duration in HAUBERK_SOAK.
func TestSoakExplore(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("HAUBERK_SOAK"))
	if err != nil {
		t.Skip("HAUBERK_SOAK holds no duration")
	}
	exploreAll(t, job{First: uint64(time.Now().UnixMicro()), For: length})
}

// TestSeed runs one program and prints its trace.
func TestSeed(t *testing.T) {
	if os.Getenv(envSeed) == "" {
		t.Skip(envSeed + " holds no seed")
	}
	p := generate(setting(t, envSeed, 0))
	w := explore(t, p)
	t.Logf("%v%s", p, w.trace())
	for _, v := range w.violations {
		t.Errorf("rule %s: %s\n    %s", v.rule, sentences[v.rule], v.detail)
	}
}

func setting(t *testing.T, name string, other uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return other
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// exploreAll runs the programs of a job in child processes, since a panic may end
// the process: one for each core, so that each runs one goroutine at a time, which
// makes its runs nearly the same every time. It reports one program for each rule that
// is broken.
func exploreAll(t *testing.T, j job) {
	start := time.Now()
	total := &summary{result: result{Broken: map[rule]int{}}, reported: map[rule]bool{}}
	total.ctx, total.stop = context.WithCancel(t.Context())
	defer total.stop()
	n := uint64(min(runtime.GOMAXPROCS(0), maxChildren))
	var wg sync.WaitGroup
	for i := range n {
		part := j
		part.First, part.Count = j.First+j.Count*i/n, j.Count*(i+1)/n-j.Count*i/n
		if j.For > 0 {
			part.First += i << 32
		}
		wg.Go(func() { exploreMany(t, part, total) })
	}
	wg.Wait()
	fmt.Printf("streamsim: %d programs in %v\n", total.Ran, time.Since(start).Round(time.Millisecond))
	if len(total.Broken) == 0 {
		return
	}
	var lines []string
	for r, k := range total.Broken {
		lines = append(lines, fmt.Sprintf("%7d broke rule %-12s %s", k, r, sentences[r]))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[8:], b[8:]) })
	t.Errorf("programs that broke rules:\n%s", strings.Join(lines, "\n"))
}

const maxChildren = 4

// summary is the result of all child processes.
type summary struct {
	mu sync.Mutex
	result

	reported map[rule]bool
	ctx      context.Context // done when all processes must stop
	stop     context.CancelFunc
}

// add adds the result of a child process and reports violations that are not reported yet.
func (s *summary) add(t *testing.T, r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Ran += r.Ran
	for rule, n := range r.Broken {
		s.Broken[rule] += n
	}
	for rule, text := range r.Reports {
		if !s.reported[rule] {
			s.reported[rule] = true
			t.Error(text)
		}
	}
	if len(s.Broken) > 0 && os.Getenv(envFirst) != "" {
		s.stop()
	}
}

// known returns the rules that need no report.
func (s *summary) known() (rules []rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.reported {
		rules = append(rules, r)
	}
	return rules
}

// exploreMany runs the programs of a job, in another process after each that crashed.
func exploreMany(t *testing.T, j job, total *summary) {
	for j.Count > 0 || j.For > 0 {
		began := time.Now()
		j.Reported = total.known()
		r, crashed, output := child(total.ctx, t, j)
		if total.ctx.Err() != nil {
			return
		}
		if crashed && j.For == 0 && r.Ran >= j.Count { // it ran all programs: the race detector failed it
			lines := strings.SplitN(output, "\n", 101)
			t.Errorf("the process failed:\n%s", strings.Join(lines[:min(len(lines), 100)], "\n"))
		}
		if !crashed || j.For == 0 && r.Ran >= j.Count {
			total.add(t, r)
			return
		}
		seed := j.First + r.Ran
		first := !slices.Contains(j.Reported, ruleCrash)
		r.Ran++
		if r.Broken == nil {
			r.Broken = map[rule]int{}
		}
		r.Broken[ruleCrash]++
		if first {
			r.Reports = maps.Clone(r.Reports)
			if r.Reports == nil {
				r.Reports = map[rule]string{}
			}
			r.Reports[ruleCrash] = reportCrash(t, generate(seed), output)
		}
		total.add(t, r)
		if j.For > 0 {
			j.For = max(0, j.For-time.Since(began))
		} else {
			j.Count -= r.Ran
		}
		j.First = seed + 1
	}
}

// child runs a job in another process. It returns the result, whether the process ended early, and
// its output.
func child(ctx context.Context, t *testing.T, j job) (r result, crashed bool, output string) {
	dir, err := os.MkdirTemp("", "streamsim")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "job")
	text, err := json.Marshal(j)
	if err == nil {
		err = os.WriteFile(name, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), envChild+"="+name, "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name + ".result"); err == nil {
		_ = json.Unmarshal(text, &r)
	}
	if text, err := os.ReadFile(name + ".ran"); err == nil && len(text) == 20 {
		r.Ran, _ = strconv.ParseUint(string(text), 10, 64)
	}
	return r, exit != nil, string(out)
}

// TestChild runs the job of a child process.
func TestChild(t *testing.T) {
	name := os.Getenv(envChild)
	if name == "" {
		t.Skip("for child processes")
	}
	var j job
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		t.Fatal(err)
	}
	if j.Program != nil {
		for range repeats {
			explore(t, j.Program)
		}
		return
	}
	ran, err := os.Create(name + ".ran")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ran.Close() }()
	j.run(t, ran, func(r result) {
		text, err := json.Marshal(r)
		if err == nil {
			err = os.WriteFile(name+".result", text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// run runs the programs of a job.
func (j job) run(t *testing.T, ran *os.File, save func(result)) {
	r := result{Broken: map[rule]int{}, Reports: map[rule]string{}}
	first := os.Getenv(envFirst) != ""
	end := time.Now().Add(j.For)
	for j.For > 0 && time.Now().Before(end) || j.For == 0 && r.Ran < j.Count {
		_, _ = ran.WriteAt(fmt.Appendf(nil, "%020d", r.Ran), 0)
		p := generate(j.First + r.Ran)
		w := explore(t, p)
		r.Ran++
		for _, rule := range w.broken() {
			r.Broken[rule]++
			if r.Broken[rule] == 1 && !slices.Contains(j.Reported, rule) {
				r.Reports[rule] = report(t, p, w, rule, first)
			}
		}
		if len(w.violations) > 0 {
			list(p, w)
			save(r)
			if first {
				break
			}
		}
	}
	_, _ = ran.WriteAt(fmt.Appendf(nil, "%020d", r.Ran), 0)
	save(r)
}

// list adds the violations of a run to the file in STREAMSIM_LIST.
func list(p *program, w *world) {
	f, err := os.OpenFile(os.Getenv(envList), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for _, v := range w.violations {
		_, _ = fmt.Fprintf(f, "%d %s: %s [%v]\n", p.Seed, v.rule, strings.ReplaceAll(v.detail, "\n", " "), p.Interceptors)
	}
}

// report describes a program that breaks a rule, and the smallest program like it.
func report(t *testing.T, p *program, w *world, r rule, quick bool) string {
	small, what := p, "it is\n"
	if !quick {
		small, w = minimize(t, p, w, r)
		what = fmt.Sprintf("minimized from\n%vto\n", p)
	}
	return fmt.Sprintf("seed %d breaks rule %s: %s\n  %s\n%s%v%s", p.Seed, r, sentences[r], w.first(r).detail, what, small, w.trace())
}

// reportCrash describes a program that ends the process.
func reportCrash(t *testing.T, p *program, output string) string {
	small := p
	if os.Getenv(envFirst) == "" {
		small, output = minimizeCrash(t, p, output)
	}
	lines := strings.SplitN(output, "\n", 41)
	return fmt.Sprintf("seed %d breaks rule %s: %s\nminimized from\n%vto\n%v%s",
		p.Seed, ruleCrash, sentences[ruleCrash], p, small, strings.Join(lines[:min(len(lines), 40)], "\n"))
}

// exploreFixed runs programs from fixed seeds.
func exploreFixed(t *testing.T, count uint64) {
	t.Helper()
	if testing.Short() {
		count /= 10
	}
	exploreAll(t, job{First: 1, Count: setting(t, envCount, count)})
}

// On the bare transport, a transparent program has the same result in each run and breaks no rule.
// Otherwise the comparison with it would prove nothing.
func TestBare(t *testing.T) {
	for seed := range setting(t, envCount, 4000) {
		p := generate(seed + 1)
		if !p.Tidy || !p.transparent() {
			continue
		}
		w, again := run(t, p, true), run(t, p, true)
		w.check()
		w.compare(again)
		for _, r := range w.broken() {
			t.Fatal(report(t, p, w, r, true))
		}
	}
}
