package policy

import (
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// The times of a [File].
const (
	settleTime   = 50 * time.Millisecond // between a notification and a look, and between two looks
	pollTime     = 5 * time.Second       // between two looks without a notification
	fastPollTime = time.Second           // the same if there are no notifications
)

// watch looks at a file when it may have changed. Folders are watched, since files are replaced:
//
//	waiting --notification of a watched name, or poll--> look --content not yet seen--> wait settleTime, look
//	                                                     --the same content twice--> judge, waiting
//
// One goroutine runs it. Without notifications it polls only.
type watch struct {
	file   *File
	notify *fsnotify.Watcher // nil if the system has none
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	names map[string]bool // whose writes count; guarded by mu
}

// newWatch watches the files of a policy. Its goroutine has to be started.
func (f *File) newWatch(p *Policy) *watch {
	w := &watch{file: f, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		f.settings.deps.Logger.Warn("policy: there are no notifications of files, so the file is read every second",
			slog.String("file", f.path), slog.Any("error", err))
	}
	w.follow(p)
	return w
}

func (w *watch) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// follow watches the folders of a policy's files, and of what those that are symbolic links lead to.
func (w *watch) follow(p *Policy) {
	if w.notify == nil {
		return
	}
	names := make(map[string]bool)
	folders := make(map[string]bool)
	for _, path := range append([]string{w.file.path}, p.inputs...) {
		for _, name := range []string{path, target(path)} {
			if name, err := filepath.Abs(name); err == nil {
				names[name], folders[filepath.Dir(name)] = true, true
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = names
	have := w.notify.WatchList()
	for _, folder := range have {
		if !folders[folder] {
			_ = w.notify.Remove(folder) // it may be gone
		}
	}
	for folder := range folders {
		if !slices.Contains(have, folder) {
			_ = w.notify.Add(folder) // it may not be there yet; the poll finds it
		}
	}
}

// target returns what a path leads to, or the path itself.
func target(path string) string {
	if at, err := filepath.EvalSymlinks(path); err == nil {
		return at
	}
	return path
}

// counts reports whether an event can be a change. Names come and go when files are replaced. Writes count for the
// files themselves only: a log in the same folder has many.
func (w *watch) counts(e fsnotify.Event) bool {
	if e.Has(fsnotify.Create) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Remove) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[e.Name]
}

func (w *watch) run() {
	defer close(w.done)
	var events <-chan fsnotify.Event
	var failures <-chan error
	every := fastPollTime
	if w.notify != nil {
		defer func() { _ = w.notify.Close() }()
		events, failures, every = w.notify.Events, w.notify.Errors, pollTime
	}
	poll := time.NewTicker(every)
	defer poll.Stop()
	var settle <-chan time.Time // nil while nothing has to settle
	var last sum                // that the last look found, while it has to settle
	for {
		select {
		case <-w.stop:
			return
		case e := <-events:
			if settle == nil && w.counts(e) {
				settle = time.After(settleTime)
			}
		case err := <-failures: // such as too many events
			f := w.file
			f.settings.deps.Logger.Debug("policy: notifications of files are lost",
				slog.String("file", f.path), slog.Any("error", err))
			if settle == nil {
				settle = time.After(settleTime)
			}
		case <-poll.C:
			if settle == nil {
				settle = time.After(0)
			}
		case <-settle:
			settle = nil
			seen, again := w.file.look(last)
			if last = seen; again {
				settle = time.After(settleTime)
			}
		}
	}
}

// look reads the file, and judges it if it is the same as at the last look and not what was judged last. It reports
// whether to look again.
func (f *File) look(last sum) (seen sum, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return last, false
	}
	data, err := yamlfile.Read(f.path)
	seen = sumOf(data, err, f.current.Load().inputs)
	f.watch.follow(f.current.Load()) // symlinks may lead elsewhere, and folders may be new
	switch {
	case seen == f.seen:
		return seen, false
	case seen != last:
		return seen, true
	case err != nil:
		f.judged(nil, seen, err)
		return seen, false
	case seen == f.inForce: // a bad file was reverted
		f.seen = seen
		f.revert()
		return seen, false
	}
	p, seen, err := f.load(f.current.Load())
	if err == nil {
		err = f.swap(p)
	}
	f.judged(p, seen, err)
	return seen, false
}
