package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stepFolder counts operations. It ends the process, as far as a test can, before or after one of them, or lets one fail.
type stepFolder struct {
	folder

	steps  int
	killAt int // twice the number of the operation, plus 1 for after it; -1 for none
	failAt map[string]int
	log    []string
}

type killed struct{}

func (f *stepFolder) do(name string, operation func() error) error {
	f.log = append(f.log, name)
	at := 2 * f.steps
	f.steps++
	if f.killAt == at {
		panic(killed{})
	}
	if f.failAt[name] > 0 {
		f.failAt[name]--
		return errDisk
	}
	err := operation()
	if f.killAt == at+1 {
		panic(killed{})
	}
	return err
}

func (f *stepFolder) rename(from, to string) error {
	return f.do("rename", func() error { return f.folder.rename(from, to) })
}

func (f *stepFolder) remove(path string) error {
	return f.do("remove", func() error { return f.folder.remove(path) })
}

func (f *stepFolder) sync(path string) error {
	return f.do("sync", func() error { return f.folder.sync(path) })
}

// content returns what all files have, the oldest first.
func content(t *testing.T, path string) string {
	t.Helper()
	paths, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// line is a record, which repair would keep.
func lineOf(n int) string { return fmt.Sprintf("line %d\n", n) }

// Killed at any point of a rotation, a process leaves each line that was stored once, in order.
func TestKilledWhileRotating(t *testing.T) {
	for _, keep := range []int{0, 2} {
		kills := 0
		for at := 0; ; at++ {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			steps := &stepFolder{folder: osFolder{}, killAt: at}
			d := newDisk(path)
			d.max, d.keep, d.folder = 10, keep, steps
			var stored strings.Builder
			wasKilled := func() (was bool) {
				defer func() {
					if was = recover() != nil; was && d.file != nil {
						_ = d.file.Close() // as the system does
					}
				}()
				if _, err := d.open(); err != nil {
					t.Fatal(err)
				}
				for n := range 6 {
					if err := d.append([]byte(lineOf(n))); err != nil {
						t.Fatal(err)
					}
					stored.WriteString(lineOf(n))
				}
				return false
			}()
			if wasKilled {
				kills++
			} else if err := d.close(); err != nil {
				t.Error(err)
			}
			next := newDisk(path)
			next.max, next.keep = 10, keep
			if _, err := next.open(); err != nil {
				t.Fatalf("killed at %d: %v", at, err)
			}
			next.prune()
			if err := errors.Join(next.append([]byte("last\n")), next.close()); err != nil {
				t.Fatal(err)
			}
			want, got := stored.String()+"last\n", content(t, path)
			if keep == 0 && got != want {
				t.Errorf("killed at %d: %q; want %q", at, got, want)
			}
			if lines := strings.Count(got, "\n"); keep > 0 && (!strings.HasSuffix(want, got) || lines > keep+1 || lines < min(keep, strings.Count(want, "\n"))) {
				t.Errorf("killed at %d, %d are kept: %q; want the end of %q", at, keep, got, want)
			}
			if !wasKilled {
				break
			}
		}
		if kills < 20 {
			t.Errorf("only %d points", kills)
		}
	}
}

// The names of a new file and of the one before are durable before a line is stored in the new one.
func TestRotationSyncsTheFolderFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	steps := &stepFolder{folder: osFolder{}, killAt: -1}
	d := newDisk(path)
	d.max, d.keep, d.folder = 10, 1, checkedFolder{t, path, steps}
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		if err := d.append([]byte(lineOf(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	if want := strings.Fields("sync rename sync rename sync remove rename sync remove"); !slices.Equal(steps.log, want) {
		t.Errorf("%v; want %v", steps.log, want)
	}
}

// checkedFolder checks that the file is empty when the folder is synced.
type checkedFolder struct {
	t    *testing.T
	path string

	*stepFolder
}

func (f checkedFolder) sync(path string) error {
	if info, err := os.Stat(f.path); err != nil || info.Size() != 0 {
		f.t.Errorf("%v, %v; want an empty file", info, err)
	}
	return f.stepFolder.sync(path)
}

// While the file cannot be renamed, its lines are stored. While a new file cannot be made durable, lines fail, and are
// in no file.
func TestRotationFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	steps := &stepFolder{folder: osFolder{}, killAt: -1, failAt: map[string]int{"rename": 2, "remove": 1}}
	d := newDisk(path)
	d.max, d.keep, d.folder = 10, 1, steps
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := d.append([]byte(lineOf(n))); err != nil {
			t.Error(err)
		}
	}
	if files, err := Files(path); err != nil || len(files) != 1 || d.failures.Load() != 2 || d.rotations.Load() != 0 {
		t.Errorf("%v, %v, %d failures", files, err, d.failures.Load())
	}
	steps.failAt["sync"] = 2
	for n := 3; n < 6; n++ {
		if err := d.append([]byte(lineOf(n))); (err != nil) != (n < 5) {
			t.Errorf("line %d: %v", n, err)
		}
	}
	want := lineOf(0) + lineOf(1) + lineOf(2) + lineOf(5)
	if got := content(t, path); got != want || d.rotations.Load() != 1 {
		t.Errorf("%q, %d rotations; want %q", got, d.rotations.Load(), want)
	}
	for n := 6; n < 8; n++ { // the first removal fails, and the next one is for both
		if err := d.append([]byte(lineOf(n))); err != nil {
			t.Error(err)
		}
	}
	if got := content(t, path); got != lineOf(6)+lineOf(7) || d.failures.Load() != 3 {
		t.Errorf("%q, %d failures", got, d.failures.Load())
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

// Numbers grow when the clock is set back or stays, and files of other programs are none of ours.
func TestNamesOfFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	others := []string{".1", ".20261127", ".0000000001.gz", ".000000000x", "-1795000000", ".9999999999999999999"}
	for _, other := range others {
		if err := os.WriteFile(path+other, []byte("other\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := newDisk(path)
	d.max, d.keep = 1, 3
	times := []int64{1795000000, 1795000000, 12, -5, 1795000100, 1795000050}
	d.now = func() time.Time {
		now := time.Unix(times[0], 0)
		times = times[1:]
		return now
	}
	for n := range 7 {
		if err := d.append([]byte(lineOf(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	got, err := Files(path)
	want := []string{path + ".1795000003", path + ".1795000100", path + ".1795000101", path}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, other := range others {
		if text, err := os.ReadFile(path + other); string(text) != "other\n" {
			t.Errorf("%s: %q, %v", other, text, err)
		}
	}
	early := newDisk(path + "2")
	early.max, early.now = 1, func() time.Time { return time.Unix(-5, 0) }
	for n := range 2 {
		if err := early.append([]byte(lineOf(n))); err != nil {
			t.Fatal(err)
		}
	}
	_ = early.close()
	if got, err := Files(path + "2"); err != nil || !slices.Equal(got, []string{path + "2.0000000001", path + "2"}) {
		t.Errorf("%v, %v", got, err)
	}
}
