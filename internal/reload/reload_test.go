package reload_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

// TestFile: each good content is live after at most two looks, however the file was replaced,
// and a bad one changes nothing but is reported once.
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
		expect("unchanged", 1, 0, 0)
		write(t, path, "2")
		expect("in place", 2, 1, 0)
		write(t, path+".new", "3")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		expect("renamed", 3, 2, 0)
		write(t, path, "garbage")
		expect("garbage", 3, 2, 1)
		expect("garbage still", 3, 2, 1)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", 3, 2, 2)
		if !errors.Is(reports[1], fs.ErrNotExist) || !strings.Contains(reports[0].Error(), path) {
			t.Errorf("reports %v; want the file's name, and %v", reports, fs.ErrNotExist)
		}
		write(t, path, "garbage")
		expect("the same garbage again", 3, 2, 3)
		write(t, path, "3")
		expect("good again", 3, 3, 4)
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
		expect("a symlink", 4, 4, 4)
		write(t, path, "")          // half-written
		time.Sleep(time.Second / 2) //nolint:forbidigo // as above
		synctest.Wait()
		write(t, path, "5")
		expect("in two steps", 5, 5, 4)
		f.Close()
		write(t, path, "6")
		expect("closed", 5, 5, 4)
	})
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
