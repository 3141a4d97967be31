//go:build unix

package regularfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/regularfile"
)

// Read returns regular files of a limited size, also through symbolic links, and an error for all others. It never
// waits for the writer of a named pipe.
func TestRead(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := errors.Join(os.WriteFile(at("file"), []byte("12345"), 0o600), os.Symlink("file", at("symlink")),
		os.Mkdir(at("folder"), 0o700), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink("pipe", at("to pipe"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		limit int64
		want  error
	}{
		{"file", 5, nil},
		{"symlink", 5, nil},
		{"file", 4, regularfile.ErrTooLarge},
		{"folder", 5, regularfile.ErrNotRegular},
		{"pipe", 5, regularfile.ErrNotRegular},
		{"to pipe", 5, regularfile.ErrNotRegular},
		{"none", 5, fs.ErrNotExist},
	} {
		data, err := regularfile.Read(at(c.name), c.limit)
		if !errors.Is(err, c.want) || (c.want == nil) != (string(data) == "12345") {
			t.Errorf("%s with %d bytes: %q, %v; want %v", c.name, c.limit, data, err, c.want)
		}
	}
}
