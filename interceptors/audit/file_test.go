package audit_test

import (
	"bytes"
	"context"
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

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

func open(t testing.TB, config audit.FileConfig) *audit.File {
	t.Helper()
	f, err := audit.OpenFile(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// calls returns the calls of the records in a file, and fails if a line is none.
func calls(t testing.TB, path string) (all []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for r, err := range audit.Read(file) {
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		all = append(all, r.Call)
	}
	return all
}

func record(n int) audit.Record {
	return audit.Record{Time: time.Unix(int64(n), 0), Call: strconv.Itoa(n), Stage: audit.StageEnd, Method: "shop.v1.Cart/Get\n\xff\u2028"}
}

// Concurrent records are all in the file, in whole lines, for each size of a batch.
func TestFile(t *testing.T) {
	for name, config := range map[string]audit.FileConfig{
		"default": {}, "each record": {MaxBatch: 1}, "wait": {MaxBatch: 10, Wait: time.Millisecond}, "no fsync": {NoSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			config.Path = filepath.Join(t.TempDir(), "audit.jsonl")
			f := open(t, config)
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					if err := f.Write(t.Context(), record(n)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if err := errors.Join(f.Close(), f.Close()); err != nil {
				t.Error(err)
			}
			seen := make(map[string]bool)
			for _, call := range calls(t, config.Path) {
				seen[call] = true
			}
			if len(seen) != 100 {
				t.Errorf("%d records; want 100", len(seen))
			}
			if err := f.Write(t.Context(), record(1)); !errors.Is(err, audit.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
			if info, err := os.Stat(config.Path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
			}
		})
	}
}

// The first record of a batch waits for others, at most for Wait.
func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	synctest.Test(t, func(t *testing.T) {
		f := open(t, audit.FileConfig{Path: path, MaxBatch: 3, Wait: time.Second})
		began := time.Now()
		var all sync.WaitGroup
		for n := range 4 { // three are a batch, and one waits
			all.Go(func() { _ = f.Write(t.Context(), record(n)) })
		}
		all.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("%v; want 1s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := f.Write(ctx, record(4)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want the error of the context", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if n := len(calls(t, path)); n != 5 {
		t.Errorf("%d records; want 5, that of the context that ended too", n)
	}
}

// Wherever the last line ends, OpenFile removes it or ends it, and what follows is whole.
func TestTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, audit.FileConfig{Path: path})
	for n := range 2 {
		if err := f.Write(t.Context(), record(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for size := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		torn, kept := int64(0), 0
		switch {
		case size == len(whole) || size == len(whole)-1: // the line is whole, with its end or without
			kept = 2
		case size >= first:
			torn, kept = int64(size-first), 1
		case size == first-1:
			kept = 1
		default:
			torn = int64(size)
		}
		f := open(t, audit.FileConfig{Path: path, NoSync: true})
		if f.Torn() != torn {
			t.Errorf("%d bytes: %d were removed; want %d", size, f.Torn(), torn)
		}
		if err := errors.Join(f.Write(t.Context(), record(9)), f.Close()); err != nil {
			t.Fatal(err)
		}
		if got := calls(t, path); len(got) != kept+1 || got[kept] != "9" {
			t.Errorf("%d bytes: records %v; want %d and the new one", size, got, kept)
		}
	}
}

// OpenFile does not remove the end of a file that has no records, and removes what a failure of the power left.
func TestTornByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for text, whole := range map[string]bool{
		"limits:\n  users: 5": true, "x": true, `{"users": 5`: true, `{"timeout"`: true,
		`{"ti`: false, "\x00\x00": false, "\x00\n\x00": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := audit.OpenFile(audit.FileConfig{Path: path})
		if whole != (err != nil) || err != nil && !strings.Contains(err.Error(), "no file of records") {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && f.Close() != nil {
			t.Errorf("%q is not closed", text)
		}
		if left, err := os.ReadFile(path); err != nil || whole != (string(left) == text) {
			t.Errorf("%q: the file has %q, %v", text, left, err)
		}
	}
}

// A file that was renamed or deleted is opened anew by the next record, and by Reopen.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, audit.FileConfig{Path: path})
	write := func(n int) {
		t.Helper()
		if err := f.Write(t.Context(), record(n)); err != nil {
			t.Error(err)
		}
	}
	check := func(path, want string) {
		t.Helper()
		if got := strings.Join(calls(t, path), " "); got != want {
			t.Errorf("%s has %s; want %s", path, got, want)
		}
	}
	write(1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(2)
	check(path+".1", "1")
	check(path, "2")
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(path, "")
	write(3)
	check(path+".2", "2")
	check(path, "3")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(4)
	check(path, "4")
	if err := errors.Join(f.Close()); err != nil {
		t.Error(err)
	}
	if err := f.Reopen(t.Context()); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("Reopen after Close: %v", err)
	}
}

// While the path cannot be opened, records fail. They are written again when it can.
func TestPathGone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "audit.jsonl")
	f := open(t, audit.FileConfig{Path: path})
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Write(t.Context(), record(1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v; want an error", err)
		}
	}
	if err := f.Reopen(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Reopen: %v; want an error", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(t.Context(), record(2)); err != nil {
		t.Error(err)
	}
	if got := calls(t, path); len(got) != 1 || got[0] != "2" {
		t.Errorf("records %v", got)
	}
}

// OpenFile says what is wrong with its settings and with the file.
func TestOpenFileErrors(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "audit.jsonl")
	large := filepath.Join(folder, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("x"), 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	symbolic := filepath.Join(folder, "symbolic")
	if err := os.Symlink(path, symbolic); err != nil {
		t.Fatal(err)
	}
	open(t, audit.FileConfig{Path: path})
	for _, test := range []struct {
		config audit.FileConfig
		want   string
	}{
		{audit.FileConfig{}, "Path is empty"},
		{audit.FileConfig{Path: path, MaxBatch: -1}, "MaxBatch is -1"},
		{audit.FileConfig{Path: path, Wait: time.Hour}, "Wait is 1h"},
		{audit.FileConfig{Path: path, Mode: fs.ModeDir | 0o600}, "Mode is d"},
		{audit.FileConfig{Path: path, Mode: 0o400}, "Mode is -r--"},
		{audit.FileConfig{Path: path, MaxSize: -1}, "MaxSize is -1"},
		{audit.FileConfig{Path: path, MaxSize: 1, Keep: -1}, "Keep is -1"},
		{audit.FileConfig{Path: path, Keep: 1}, "Keep is 1 with a MaxSize of 0"},
		{audit.FileConfig{Path: symbolic, MaxSize: 1}, "is a symbolic link"},
		{audit.FileConfig{Path: path}, "the file of another writer"},
		{audit.FileConfig{Path: folder}, "is a directory"},
		{audit.FileConfig{Path: os.DevNull}, "no regular file"},
		{audit.FileConfig{Path: filepath.Join(folder, "no", "such")}, "no such file"},
		{audit.FileConfig{Path: large}, "no file of records"},
	} {
		if f, err := audit.OpenFile(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, %v; want %q", test.config, f, err, test.want)
		}
	}
}

// With BestEffort, the goroutine of the queue does not wait for the disk, and Flush and Close do.
func TestFileWithQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, audit.FileConfig{Path: path})
	x := audit.New(audit.Config{BestEffort: true}, f)
	call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))
	for range 500 {
		if err := call(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(calls(t, path)); n != 500 || measured(x, "audit_written_total", "") != 500 {
		t.Errorf("%d records", n)
	}
	if err := errors.Join(f.Close(), x.Flush(t.Context()), x.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// Records that Read would not read are not stored.
func TestBadRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, audit.FileConfig{Path: path})
	long := record(1)
	long.Method = strings.Repeat("x", 3<<20)
	for want, r := range map[string]audit.Record{"want StageStart": {}, "stage 9": {Stage: 9}, "want at most": long} {
		if err := f.Write(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if got := calls(t, path); len(got) != 0 {
		t.Errorf("records %v", got)
	}
}

// A call whose file is closed fails.
func TestClosedFile(t *testing.T) {
	f := open(t, audit.FileConfig{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	x := audit.New(audit.Config{}, f)
	_ = f.Close()
	err := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))(t.Context())
	if hauberk.CodeOf(err) != codes.Unavailable || !errors.Is(err, audit.ErrClosed) {
		t.Errorf("%v; want UNAVAILABLE", err)
	}
}
