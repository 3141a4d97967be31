package audit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var errDisk = errors.New("no space left on the device")

func newDisk(path string) *diskFile {
	return &diskFile{path: path, mode: 0o600, sync: true, folder: osFolder{}, now: time.Now}
}

// badFile is a file whose operations fail while their number is positive.
type badFile struct {
	handle

	writes, syncs, truncates int
}

func fails(n *int) bool {
	*n--
	return *n >= 0
}

// Write writes a part of the text before it fails.
func (f *badFile) Write(text []byte) (int, error) {
	if fails(&f.writes) {
		n, _ := f.handle.Write(text[:len(text)/2])
		return n, errDisk
	}
	return f.handle.Write(text)
}

func (f *badFile) Sync() error {
	if fails(&f.syncs) {
		return errDisk
	}
	return f.handle.Sync()
}

func (f *badFile) Truncate(size int64) error {
	if fails(&f.truncates) {
		return errDisk
	}
	return f.handle.Truncate(size)
}

// After a write or an fsync that fails, nothing of its lines is in the file once the next lines are stored, also if
// the disk does not let the file be truncated at first.
func TestDiskFails(t *testing.T) {
	for name, test := range map[string]struct {
		bad  badFile
		want int // failed appends
	}{
		"write":               {badFile{writes: 1}, 1},
		"writes":              {badFile{writes: 3}, 3},
		"fsync":               {badFile{syncs: 1}, 1},
		"write and truncate":  {badFile{writes: 1, truncates: 1}, 1},
		"write and truncates": {badFile{writes: 1, truncates: 3}, 3},
		"fsync and truncates": {badFile{syncs: 1, truncates: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			d := newDisk(path)
			if _, err := d.open(); err != nil {
				t.Fatal(err)
			}
			if err := d.append([]byte("first\n")); err != nil {
				t.Fatal(err)
			}
			bad := test.bad
			bad.handle = d.file
			d.file = &bad
			for range test.want {
				if err := d.append([]byte("lost line\n")); !errors.Is(err, errDisk) {
					t.Errorf("%v; want the error of the disk", err)
				}
			}
			if err := errors.Join(d.append([]byte("second\n")), d.close(), d.close()); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "first\nsecond\n" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A file that another program has truncated, such as logrotate with copytruncate, gets no gap when a failed write is
// removed from it, and is not renamed for the size that it had.
func TestTruncatedByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := newDisk(path)
	d.max = 40
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	if err := d.append([]byte("the first line, which is long\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	d.file = &badFile{handle: d.file, writes: 1}
	if err := d.append([]byte("lost line\n")); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if err := errors.Join(d.append([]byte("second, also long\n")), d.close()); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second, also long\n" || d.rotations.Load() != 0 {
		t.Errorf("%q, %v, %d rotations", got, err, d.rotations.Load())
	}
}

// A file that is closed after a failed write has no part of its lines.
func TestCloseAfterFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := newDisk(path)
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	d.file = &badFile{handle: d.file, writes: 1, truncates: 1}
	if err := d.append([]byte("lost line\n")); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || len(got) != 0 {
		t.Errorf("%q, %v; want nothing", got, err)
	}
}
