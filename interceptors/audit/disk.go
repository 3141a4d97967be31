package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// diskFile is the open file of a [File]. One goroutine at a time uses it.
//
//	| state  | event                         | next   |
//	|--------|-------------------------------|--------|
//	| open   | a write or an fsync fails     | broken |
//	| broken | the file is truncated to size | open   |
//	| open   | the path names another file   | closed |
//	| closed | the path is opened            | open   |
//	| open   | lines would exceed max        | closed |
type diskFile struct {
	path   string
	mode   os.FileMode
	sync   bool
	max    int64 // of the size; 0 for no rotation
	keep   int   // renamed files; 0 for all
	folder folder
	now    func() time.Time
	last   int64 // the number of the last renamed file

	rotations, failures atomic.Int64

	file   handle // nil if it is closed
	info   os.FileInfo
	size   int64 // of the records that were stored
	broken bool  // there may be more than size bytes
}

// handle is an open file.
type handle interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// open opens the path. It returns how many bytes of a torn last line it has removed.
func (d *diskFile) open() (torn int64, err error) {
	file, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, d.mode)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	defer func() {
		if d.file != file {
			_ = file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("audit: %s is no regular file", d.path)
	}
	if err := lock(file); err != nil {
		return 0, fmt.Errorf("audit: %s is the file of another writer: %w", d.path, err)
	}
	size, torn, err := repair(file, info.Size())
	if err != nil {
		return 0, fmt.Errorf("audit: repair %s: %w", d.path, err)
	}
	if d.sync { // also if the file exists: the process that has made it may have been killed before
		if err := d.folder.sync(filepath.Dir(d.path)); err != nil {
			return 0, fmt.Errorf("audit: %w", err)
		}
	}
	d.file, d.info, d.size, d.broken = handle(file), info, size, false
	return torn, nil
}

// maxTail bounds the end of a file in which the end of a line is looked for, in bytes: a record has less.
const maxTail = maxLine

// repair ends or removes a last line without an end, if it is a part of a record. It returns the size of the file then,
// and how many bytes it has removed.
func repair(file *os.File, size int64) (whole, torn int64, err error) {
	tail := make([]byte, min(size, maxTail))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return 0, 0, err
	}
	last := tail[bytes.LastIndexByte(tail, '\n')+1:]
	if len(last) == 0 {
		return size, 0, nil
	}
	if len(last) == maxTail && size > maxTail {
		return 0, 0, fmt.Errorf("the last %d bytes have no end of a line: this is no file of records", maxTail)
	}
	if new(Record).UnmarshalJSON(last) == nil {
		if _, err := file.WriteString("\n"); err != nil {
			return 0, 0, err
		}
		return size + 1, 0, file.Sync()
	}
	if !begins(last) {
		return 0, 0, errors.New("the last line has no end and does not begin as a record: this is no file of records")
	}
	torn = int64(len(last))
	if err := file.Truncate(size - torn); err != nil {
		return 0, 0, err
	}
	return size - torn, torn, file.Sync()
}

// begins reports whether a line without an end may be a part of a record, or of what a file system has after a failure
// of the power in place of data: bytes of 0.
func begins(line []byte) bool {
	n := min(len(line), len(recordStart))
	return line[0] == 0 || string(line[:n]) == recordStart[:n]
}

// append stores lines. After an error none of them is in the file, or will be when the next lines are stored.
func (d *diskFile) append(lines []byte) error {
	if err := d.ready(); err != nil {
		return err
	}
	if d.max > 0 && d.size > 0 && d.size+int64(len(lines)) > d.max {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	_, err := d.file.Write(lines)
	if err == nil && d.sync {
		err = d.file.Sync()
	}
	if err != nil {
		d.broken = true
		return fmt.Errorf("audit: %w", errors.Join(err, d.mend()))
	}
	d.size += int64(len(lines))
	return nil
}

// ready prepares the file for further lines.
func (d *diskFile) ready() error {
	if d.file != nil {
		info, err := os.Stat(d.path)
		if err == nil && os.SameFile(info, d.info) {
			d.size = min(d.size, info.Size()) // another program may have truncated it: mend must not make it longer
			return d.mend()
		}
		_ = d.close() // the file has another name, or none
	}
	_, err := d.open()
	return err
}

// mend removes what a failed write has left.
func (d *diskFile) mend() error {
	if !d.broken {
		return nil
	}
	if err := d.file.Truncate(d.size); err != nil {
		return fmt.Errorf("audit: remove a part of a record: %w", err)
	}
	d.broken = false
	return nil
}

func (d *diskFile) reopen() error {
	closed := d.close()
	_, err := d.open()
	return errors.Join(closed, err)
}

func (d *diskFile) close() error {
	if d.file == nil {
		return nil
	}
	err := errors.Join(d.mend(), d.file.Close()) // closing ends the lock
	if d.file = nil; err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
