package audit

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The number in the name of a renamed file has at least minDigits digits, as Unix time has, so that it is not mistaken
// for one of a program that rotates logs.
const (
	minDigits = 10
	maxDigits = 18
)

// folder changes the names of files. osFolder is the one of the operating system.
type folder interface {
	rename(from, to string) error
	remove(path string) error
	// sync makes the names in a folder durable.
	sync(path string) error
}

type osFolder struct{}

func (osFolder) rename(from, to string) error { return os.Rename(from, to) }
func (osFolder) remove(path string) error     { return os.Remove(path) }

func (osFolder) sync(path string) error {
	opened, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(opened.Sync()), opened.Close())
}

// rotate renames the file and opens the path anew. The order keeps what was stored whenever the process ends:
//
//  1. Rename the file. Its records are on the disk, under one name or the other.
//  2. Open the path, which makes a new file, and sync the folder. Then both names are durable.
//  3. Remove files beyond keep.
//
// If the file cannot be renamed, its next records are stored in it all the same, and the next batch tries again. If the
// path cannot be opened, records fail until it can be.
func (d *diskFile) rotate() error {
	to, err := d.nextName()
	if err == nil && !renamesOpenFiles {
		err = d.close()
	}
	if err == nil {
		err = d.folder.rename(d.path, to)
	}
	if err != nil {
		d.failures.Add(1)
		return d.ready()
	}
	d.rotations.Add(1)
	_ = d.close()
	if _, err := d.open(); err != nil {
		return err
	}
	d.prune()
	return nil
}

// nextName returns the name of the next renamed file: the time, or a greater number than those that exist and have
// existed, if the clock has been set back.
func (d *diskFile) nextName() (string, error) {
	all, err := renamed(d.path)
	if err != nil {
		return "", err
	}
	number := max(d.now().Unix(), d.last+1, 1)
	if len(all) > 0 {
		number = max(number, all[len(all)-1].number+1)
	}
	d.last = number
	return fmt.Sprintf("%s.%0*d", d.path, minDigits, number), nil
}

// prune removes the oldest files beyond keep.
func (d *diskFile) prune() {
	if d.keep == 0 {
		return
	}
	all, err := renamed(d.path)
	if err != nil {
		d.failures.Add(1)
		return
	}
	for _, old := range all[:max(0, len(all)-d.keep)] {
		if err := d.folder.remove(old.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			d.failures.Add(1)
		}
	}
}

// numbered is a renamed file.
type numbered struct {
	path   string
	number int64
}

// renamed returns the files that a File with a path has renamed, the oldest first.
func renamed(path string) (all []numbered, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	prefix := filepath.Base(path) + "."
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || len(text) < minDigits || len(text) > maxDigits || strings.Trim(text, "0123456789") != "" {
			continue
		}
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			all = append(all, numbered{filepath.Join(filepath.Dir(path), e.Name()), number})
		}
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// Files returns the paths of the files that a [File] with FileConfig.MaxSize has written, the oldest first, and last
// the path itself if it exists. While a File writes, files may be renamed and removed: a caller that finds that a path
// no longer exists calls Files again.
func Files(path string) ([]string, error) {
	all, err := renamed(path)
	if err != nil {
		return nil, err
	}
	paths := make([]string, 0, len(all)+1)
	for _, f := range all {
		paths = append(paths, f.path)
	}
	if _, err := os.Stat(path); err == nil {
		paths = append(paths, path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return paths, nil
}
