package reload_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk/internal/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// number parses a file with a number.
func number(data []byte) (int, error) { return strconv.Atoi(strings.TrimSpace(string(data))) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reports are what Settings.Failed was called with.
type reports struct {
	mu  sync.Mutex
	all []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *reports) get() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// TestFile: each good content is live after at most two looks, however the file was replaced,
// and a bad one changes nothing but is reported once. The first content is applied before Open
// returns.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "number")
		write(t, path, "1")
		var mu sync.Mutex
		var changes []int
		var reports []error
		f, err := reload.Open(path, number,
			func(n int) { mu.Lock(); defer mu.Unlock(); changes = append(changes, n) },
			reload.Settings{Failed: func(err error) { mu.Lock(); defer mu.Unlock(); reports = append(reports, err) }})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if len(changes) != 1 { // without a lock: the goroutine of the File has not looked yet
			t.Errorf("Open applied %v; want the first content", changes)
		}
		expect := func(step string, value, changed, reported int) {
			t.Helper()
			synctest.Wait()
			time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if f.Get() != value || len(changes) != changed || len(reports) != reported {
				t.Errorf("%s: %d, changes %v, reports %v; want %d, %d changes, %d reports",
					step, f.Get(), changes, reports, value, changed, reported)
			}
		}
		expect("unchanged", 1, 1, 0)
		write(t, path, "2")
		expect("in place", 2, 2, 0)
		write(t, path+".new", "3")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		expect("renamed", 3, 3, 0)
		write(t, path, "garbage")
		expect("garbage", 3, 3, 1)
		expect("garbage still", 3, 3, 1)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", 3, 3, 2)
		if !errors.Is(reports[1], fs.ErrNotExist) || !strings.Contains(reports[0].Error(), path) {
			t.Errorf("reports %v; want the file's name, and %v", reports, fs.ErrNotExist)
		}
		write(t, path, "garbage")
		expect("the same garbage again", 3, 3, 3)
		write(t, path, "3")
		expect("good again", 3, 4, 4)
		if reports[3] != nil {
			t.Errorf("reports %v; want nil at the end", reports)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(t, path+".target", "4")
		if err := os.Symlink(path+".target", path); err != nil {
			t.Fatal(err)
		}
		expect("a symlink", 4, 5, 4)
		write(t, path, "")          // half-written
		time.Sleep(time.Second / 2) //nolint:forbidigo // as above
		synctest.Wait()
		write(t, path, "5")
		expect("in two steps", 5, 6, 4)
		f.Close()
		write(t, path, "6")
		expect("closed", 5, 6, 4)
	})
}

// TestBreakingFailed: a function that panics, or ends its goroutine, does not end the process and not the watching.
func TestBreakingFailed(t *testing.T) {
	for name, breaks := range map[string]func(){
		"panic":  func() { panic("failed") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "number")
				write(t, path, "1")
				var got reports
				f, err := reload.Open(path, number, nil, reload.Settings{Failed: func(err error) { got.add(err); breaks() }})
				if err != nil {
					t.Fatal(err)
				}
				for i, content := range []string{"garbage", "2", "other garbage", "3"} {
					write(t, path, content)
					time.Sleep(2 * time.Second) //nolint:forbidigo // synctest: the clock is fake
					synctest.Wait()
					if n := len(got.get()); n != i+1 || f.Get() != 1+(i+1)/2 {
						t.Errorf("%q: %d calls, content %d", content, n, f.Get())
					}
				}
				f.Close()
			})
		})
	}
}

// TestOpen: a file that is bad at the start is an error that names it.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "garbage"), "garbage")
	write(t, filepath.Join(dir, "large"), "12345")
	for name, want := range map[string]string{"absent": "no such file", "garbage": "invalid syntax", "large": "want at most 4 bytes"} {
		path := filepath.Join(dir, name)
		limit := int64(100)
		if name == "large" {
			limit = 4
		}
		f, err := reload.Open(path, number, nil, reload.Settings{MaxBytes: limit})
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %q and the path", name, err, want)
		}
	}
}

// TestOpenAll: files that are parsed together change together, once all of them are as they should
// be.
func TestOpenAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		paths := []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
		write(t, paths[0], "a")
		write(t, paths[1], "a")
		same := func(contents [][]byte) (string, error) {
			if !bytes.Equal(contents[0], contents[1]) {
				return "", errors.New("they differ")
			}
			return string(contents[0]), nil
		}
		var failed reports
		f, err := reload.OpenAll(paths, same, nil, reload.Settings{Failed: failed.add})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			one, two, want string
			reports        int
		}{{"b", "a", "a", 1}, {"b", "b", "b", 2}, {"", "b", "b", 3}, {"c", "c", "c", 4}} {
			write(t, paths[0], step.one)
			write(t, paths[1], step.two)
			time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
			if f.Get() != step.want || len(failed.get()) != step.reports {
				t.Errorf("%q and %q: %q, reports %v; want %q, %d reports", step.one, step.two, f.Get(), failed.get(), step.want, step.reports)
			}
		}
		f.Close()
		if !strings.Contains(failed.get()[0].Error(), paths[0]+", "+paths[1]+": they differ") {
			t.Errorf("the report is %v; want the names of the files", failed.get()[0])
		}
	})
}

// TestRetry: with Retry, content becomes good without a change. Without it, content is parsed once.
func TestRetry(t *testing.T) {
	for _, retry := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "number")
			write(t, path, "1")
			good := time.Now().Add(time.Minute)
			later := func(data []byte) (int, error) {
				if n, _ := number(data); n == 2 && time.Now().Before(good) {
					return 0, errors.New("not yet")
				}
				return number(data)
			}
			var failed reports
			f, err := reload.Open(path, later, nil, reload.Settings{
				Retry: retry, Failed: failed.add,
			})
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, "2")
			time.Sleep(30 * time.Second) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
			if f.Get() != 1 || len(failed.get()) != 1 {
				t.Errorf("retry %t: %d, reports %v; want 1 and one report", retry, f.Get(), failed.get())
			}
			time.Sleep(time.Minute) //nolint:forbidigo // as above
			f.Close()
			if want := map[bool]int{false: 1, true: 2}[retry]; f.Get() != want || len(failed.get()) != want {
				t.Errorf("retry %t: %d, reports %v; want %d", retry, f.Get(), failed.get(), want)
			}
		})
	}
}
