// Package reload keeps what a file contains, and parses the file again when its content changes.
package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Settings of a [File]. The zero value has the defaults.
type Settings struct {
	// Every is the time between two looks at the file. The default, 0, is half a second.
	Every time.Duration
	// MaxBytes is the largest size of the file. The default, 0, is 16 MiB.
	MaxBytes int64
	// Failed is called with each new reason why the file could not be read or parsed, and with
	// nil when it could be again. It runs on the goroutine of the file. The default is nil.
	Failed func(error)
}

const (
	defaultEvery    = time.Second / 2
	defaultMaxBytes = 16 << 20
)

// File is the parsed content of a file. Its content is read again and compared, without regard
// to time stamps, so that each way of replacing a file works: in place, by rename, by a
// symbolic link. New content counts when two looks in succession find it, since a file that is
// written in place is read half-written. A file that cannot be read or parsed leaves the last good content in force.
// Safe for concurrent use.
type File[T any] struct {
	path     string
	parse    func([]byte) (T, error)
	settings Settings
	changed  func(T)
	current  atomic.Pointer[T]
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}

	// Only the goroutine of the file uses these.
	sum    [sha256.Size]byte // of the content that was parsed last
	next   [sha256.Size]byte // of the content that the last look found
	bad    error             // why that content is not good; nil if it is
	reason string            // that was reported last; "" if all is well
}

// Open reads and parses a file, and watches it until Close. changed is called with each later
// content, on the goroutine of the file; it may be nil.
func Open[T any](path string, parse func([]byte) (T, error), changed func(T), settings Settings) (*File[T], error) {
	if settings.Every <= 0 {
		settings.Every = defaultEvery
	}
	if settings.MaxBytes <= 0 {
		settings.MaxBytes = defaultMaxBytes
	}
	f := &File[T]{
		path: path, parse: parse, settings: settings, changed: changed,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	data, err := read(path, settings.MaxBytes)
	if err != nil {
		return nil, err
	}
	value, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.sum = sha256.Sum256(data)
	f.next = f.sum
	f.current.Store(&value)
	go f.watch()
	return f, nil
}

// Get returns the last good content.
func (f *File[T]) Get() T { return *f.current.Load() }

// Close ends the watching and waits for its goroutine. The last good content remains.
func (f *File[T]) Close() {
	f.stopOnce.Do(func() { close(f.stop) })
	<-f.done
}

func (f *File[T]) watch() {
	defer close(f.done)
	ticker := time.NewTicker(f.settings.Every)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			f.check()
		}
	}
}

// check parses the file if its content has changed, and is the same as at the last look.
func (f *File[T]) check() {
	data, err := read(f.path, f.settings.MaxBytes)
	if err != nil {
		f.report(err)
		return
	}
	sum := sha256.Sum256(data)
	settled := sum == f.next
	f.next = sum
	if sum == f.sum {
		f.report(f.bad)
		return
	}
	if !settled {
		return
	}
	value, err := f.parse(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	f.sum, f.bad = sum, err
	f.report(err)
	if err != nil {
		return
	}
	f.current.Store(&value)
	if f.changed != nil {
		f.changed(value)
	}
}

// report passes on an error, or nil, that is not the same as the last one.
func (f *File[T]) report(err error) {
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if reason == f.reason {
		return
	}
	f.reason = reason
	if f.settings.Failed != nil {
		f.settings.Failed(err)
	}
}

// read returns the content of a file of a limited size.
func read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: %w: want at most %d bytes", path, errTooLarge, limit)
	default:
		return data, nil
	}
}

var errTooLarge = errors.New("the file is too large")
