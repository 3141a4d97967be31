// Package reload keeps what files contain, and parses them again when their content changes.
package reload

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/regularfile"
)

// Settings of a [File]. The zero value has the defaults.
type Settings struct {
	// Every is the time between two looks at the files. The default, 0, is half a second.
	Every time.Duration
	// MaxBytes is the largest size of each file. The default, 0, is 16 MiB.
	MaxBytes int64
	// Retry parses content that is not good again with each look, since it may become good
	// without a change. The default, false, parses each content once.
	Retry bool
	// Failed is called with each new reason why the files could not be read or parsed, and with
	// nil when they could be again. It runs on the goroutine of the File, where no interceptor recovers
	// its panics: they are ignored. The default is nil.
	Failed func(error)
}

const (
	defaultEvery    = time.Second / 2
	defaultMaxBytes = regularfile.MaxSize
)

// File is the parsed content of a file, or of several together. Their content is read again and
// compared, without regard to time stamps, so that each way of replacing a file works: in place,
// by rename, by a symbolic link. New content counts when two looks in succession find it, since a
// file that is written in place is read half-written. Files that cannot be read or parsed leave
// the last good content in force. Safe for concurrent use.
type File[T any] struct {
	paths    []string
	parse    func([][]byte) (T, error)
	apply    func(T)
	settings Settings
	current  atomic.Pointer[T]
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}

	// Only Open and then the goroutine of the File use these.
	sum    [sha256.Size]byte // of the content that was parsed last
	next   [sha256.Size]byte // of the content that the last look found
	bad    error             // why that content is not good; nil if it is
	reason string            // that was reported last; "" if all is well
}

// Open reads and parses a file, and watches it until Close. apply may be nil. It is called with
// each content, in order: with the first one before Open returns, and with later ones on the
// goroutine of the File.
func Open[T any](path string, parse func([]byte) (T, error), apply func(T), settings Settings) (*File[T], error) {
	all := func(contents [][]byte) (T, error) { return parse(contents[0]) }
	return OpenAll([]string{path}, all, apply, settings)
}

// OpenAll is [Open] for files that are parsed together. parse receives their contents in the order
// of paths.
func OpenAll[T any](
	paths []string, parse func(contents [][]byte) (T, error), apply func(T), settings Settings,
) (*File[T], error) {
	if settings.Every <= 0 {
		settings.Every = defaultEvery
	}
	if settings.MaxBytes <= 0 {
		settings.MaxBytes = defaultMaxBytes
	}
	f := &File[T]{
		paths: paths, parse: parse, apply: apply, settings: settings,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	contents, sum, err := f.read()
	if err != nil {
		return nil, err
	}
	f.next = sum
	if err := f.take(contents, sum); err != nil {
		return nil, err
	}
	go f.watch()
	return f, nil
}

// Get returns the last good content.
func (f *File[T]) Get() T { return *f.current.Load() }

// Close ends the watching and waits for its goroutine. The last good content remains.
//
// It must not be called by apply or Settings.Failed.
func (f *File[T]) Close() {
	f.stopOnce.Do(func() { close(f.stop) })
	<-f.done
}

func (f *File[T]) watch() {
	closed := false
	defer func() {
		if closed {
			close(f.done)
		} else { // Settings.Failed has ended the goroutine
			go f.watch()
		}
	}()
	ticker := time.NewTicker(f.settings.Every)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			closed = true
			return
		case <-ticker.C:
			f.check()
		}
	}
}

// check parses the files if their content has changed, and is the same as at the last look.
func (f *File[T]) check() {
	contents, sum, err := f.read()
	if err != nil {
		f.report(err)
		return
	}
	settled := sum == f.next
	f.next = sum
	switch {
	case sum == f.sum && (f.bad == nil || !f.settings.Retry):
		f.report(f.bad)
	case settled:
		f.report(f.take(contents, sum))
	}
}

// take parses contents and, if they are good, puts them in force.
func (f *File[T]) take(contents [][]byte, sum [sha256.Size]byte) error {
	value, err := f.parse(contents)
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(f.paths, ", "), err)
	}
	f.sum, f.bad = sum, err
	if err != nil {
		return err
	}
	f.current.Store(&value)
	if f.apply != nil {
		f.apply(value)
	}
	return nil
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
		defer func() { _ = recover() }()
		f.settings.Failed(err)
	}
}

// read returns the contents of the files, and a hash of them.
func (f *File[T]) read() (contents [][]byte, sum [sha256.Size]byte, err error) {
	var sums []byte
	for _, path := range f.paths {
		data, err := regularfile.Read(path, f.settings.MaxBytes)
		if err != nil {
			return nil, sum, err
		}
		own := sha256.Sum256(data)
		contents, sums = append(contents, data), append(sums, own[:]...)
	}
	return contents, sha256.Sum256(sums), nil
}
