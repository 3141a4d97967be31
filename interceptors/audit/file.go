package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// DefaultMaxBatch is the default of FileConfig.MaxBatch.
const DefaultMaxBatch = 256

// FileConfig holds the settings of [OpenFile].
type FileConfig struct {
	// Path is the path of a regular file. It is created if it does not exist; its folder must exist.
	Path string
	// Mode has the permissions of a new file. The default is 0600.
	Mode fs.FileMode
	// MaxBatch bounds the records that are written together and share one fsync. The default is
	// DefaultMaxBatch; 1 is one fsync for each record.
	MaxBatch int
	// Wait is the time for which the first record of a batch waits for others. With the default, 0, a batch has
	// the records that came while the one before was written.
	Wait time.Duration
	// NoSync leaves out fsync. Records then survive the end of the process by SIGKILL, but not a failure of the
	// operating system or of the power.
	NoSync bool
	// MaxSize is the size in bytes beyond which the file is renamed to Path, a dot and the time in seconds since 1970
	// (or a greater number than before), and a new one is made. A batch is not divided, so that a file may be longer by
	// one batch. The default, 0, renames none. Path must not be a symbolic link then. If the file cannot be renamed,
	// records are still stored in it: see [File.Measurements].
	MaxSize int64
	// Keep is the number of renamed files that are kept. The oldest are removed. The default, 0, keeps all.
	Keep int
}

// File is a sink that appends records to a file, one JSON object a line. A record is stored when it is on the
// disk (fsync), which concurrent records share: group commit. Make it with [OpenFile]. Safe for concurrent use.
//
// With FileConfig.MaxSize, the file is renamed when it is full, and [Files] lists all files. If the path no longer
// names the open file, since another program has renamed or deleted it, the next record opens the path anew.
type File struct {
	config FileConfig
	posts  chan post
	ended  chan struct{} // closed by the goroutine
	torn   int64

	mu     sync.RWMutex // held to put into posts; guards closed
	closed bool

	disk diskFile // belongs to the goroutine
}

// post is a record for the goroutine of a File, or a function for it to run.
type post struct {
	line []byte
	do   func() error
	done func(error)
}

// OpenFile opens a file for records, and locks it on systems that have flock: a file has one writer. If the
// last line has no end, since a process ended while it wrote the line, OpenFile ends the line if it is a whole
// record, and removes it otherwise: see [File.Torn]. If the line does not begin as a record, the file is not one of
// records, which is an error, and nothing is removed.
func OpenFile(config FileConfig) (*File, error) {
	config.Mode = cmp.Or(config.Mode, 0o600)
	config.MaxBatch = cmp.Or(config.MaxBatch, DefaultMaxBatch)
	if err := config.check(); err != nil {
		return nil, err
	}
	f := &File{
		config: config, posts: make(chan post, config.MaxBatch), ended: make(chan struct{}),
		disk: diskFile{
			path: config.Path, mode: config.Mode, sync: !config.NoSync, max: config.MaxSize, keep: config.Keep,
			folder: osFolder{}, now: time.Now,
		},
	}
	torn, err := f.disk.open()
	if err != nil {
		return nil, err
	}
	f.torn = torn
	f.disk.prune() // the process before may have ended in between
	go f.run()
	return f, nil
}

// check returns everything that is wrong with settings that have their defaults.
func (c *FileConfig) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("audit: "+format, args...)) }
	if c.Path == "" {
		fail("Path is empty; want the path of a file")
	}
	if c.Mode&^fs.ModePerm != 0 || c.Mode&0o200 == 0 {
		fail("Mode is %v; want permissions with which the owner can write", c.Mode)
	}
	if c.MaxBatch < 1 || c.MaxBatch > 1<<16 {
		fail("MaxBatch is %d; want 1 to %d, or 0 for %d", c.MaxBatch, 1<<16, DefaultMaxBatch)
	}
	if c.Wait < 0 || c.Wait > time.Second {
		fail("Wait is %v; want 0 to 1s", c.Wait)
	}
	if c.MaxSize < 0 {
		fail("MaxSize is %d; want a number of bytes, or 0 for no limit", c.MaxSize)
	}
	if c.Keep < 0 || c.Keep > 0 && c.MaxSize == 0 {
		fail("Keep is %d with a MaxSize of %d; want a number of files, and MaxSize, or 0 for all", c.Keep, c.MaxSize)
	}
	if info, err := os.Lstat(c.Path); err == nil && c.MaxSize > 0 && info.Mode()&fs.ModeSymlink != 0 {
		fail("%s is a symbolic link, which MaxSize would rename; want the path of the file", c.Path)
	}
	return errors.Join(errs...)
}

// Torn returns the number of bytes of the torn last line that OpenFile has removed, or 0.
func (f *File) Torn() int64 { return f.torn }

// Measurements returns the numbers of renamed files, and of failures to rename or remove one. Those of an [Interceptor]
// have them.
func (f *File) Measurements() []hauberk.Measurement {
	return []hauberk.Measurement{
		{
			Name: "audit_file_rotations_total", Help: "Files that were renamed because of their size.", Counter: true,
			Value: float64(f.disk.rotations.Load()),
		},
		{
			Name: "audit_file_rotation_failures_total", Help: "Failures to rename or remove a file.", Counter: true,
			Value: float64(f.disk.failures.Load()),
		},
	}
}

// Write stores a record. If ctx ends first, Write returns its error, and the record may be stored later.
func (f *File) Write(ctx context.Context, r Record) error {
	done := make(chan error, 1)
	if err := f.post(ctx, r, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (*File) punctual() {}

func (f *File) post(ctx context.Context, r Record, done func(error)) error {
	if r.Stage != StageStart && r.Stage != StageEnd {
		return fmt.Errorf("audit: the record has the %v; want StageStart or StageEnd", r.Stage)
	}
	line := append(r.appendJSON(make([]byte, 0, 512)), '\n')
	if len(line) > maxLine {
		return fmt.Errorf("audit: the record has %d bytes; want at most %d", len(line), maxLine)
	}
	return f.add(ctx, post{line: line, done: done})
}

func (f *File) afterPosts(ctx context.Context, done func(error)) error {
	return f.add(ctx, post{done: done})
}

func (f *File) add(ctx context.Context, p post) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	select {
	case f.posts <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reopen closes the file and opens the path anew, for a program that rotates files and says so by a signal. If
// the path cannot be opened, records fail until it can be.
func (f *File) Reopen(ctx context.Context) error {
	done := make(chan error, 1)
	err := f.add(ctx, post{do: f.disk.reopen, done: func(err error) { done <- err }})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stores the records that Write has accepted, and closes the file. Later records fail with [ErrClosed].
func (f *File) Close() error {
	f.mu.Lock()
	again := f.closed
	f.closed = true
	if !again {
		close(f.posts)
	}
	f.mu.Unlock()
	<-f.ended
	if again {
		return nil
	}
	return f.disk.close()
}

// run stores batches of records until the file is closed.
func (f *File) run() {
	defer close(f.ended)
	var batch []post
	var lines []byte
	for p := range f.posts {
		batch = f.collect(append(batch[:0], p))
		lines = lines[:0]
		for _, p := range batch {
			lines = append(lines, p.line...)
		}
		var err error
		if len(lines) > 0 {
			err = f.disk.append(lines)
		}
		for _, p := range batch {
			if p.do != nil {
				p.done(p.do())
			} else {
				p.done(err)
			}
		}
		clear(batch)
		if cap(lines) > maxKept {
			lines = nil
		}
	}
}

// maxKept bounds the memory that is kept for the next batch, in bytes.
const maxKept = 1 << 20

// collect adds the records to a batch that come in time.
func (f *File) collect(batch []post) []post {
	batch = slices.Grow(batch, 1)
	if f.config.Wait == 0 {
		for len(batch) < f.config.MaxBatch {
			select {
			case p, open := <-f.posts:
				if !open {
					return batch
				}
				batch = append(batch, p)
			default:
				return batch
			}
		}
		return batch
	}
	timer := time.NewTimer(f.config.Wait)
	defer timer.Stop()
	for len(batch) < f.config.MaxBatch {
		select {
		case p, open := <-f.posts:
			if !open {
				return batch
			}
			batch = append(batch, p)
		case <-timer.C:
			return batch
		}
	}
	return batch
}
