package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// File is a policy that follows its file. Make it with [Open]. It is safe for concurrent use.
type File struct {
	path           string
	opts           []Option
	settings       *settings
	server, client *hauberk.Live
	watch          *watch

	mu      sync.Mutex         // held while the file is read; guards what follows
	pending map[*held]struct{} // of policies before, whose calls may still run
	seen    sum                // the content that was judged last
	inForce sum                // the content of the policy in force
	closed  bool

	current atomic.Pointer[Policy] // in force
	state   atomic.Pointer[State]
}

// Open loads a policy as [Load] does, and watches the file and the files that it names until Close. A change is in
// force within half a second, however the file is replaced: written in place, renamed, by a symbolic link or the folder
// "..data" of Kubernetes. Without notifications of the file system it takes a few seconds.
//
// A file is judged once two looks in succession find the same content. Write require_end: true if the file may be
// written in place and slowly. A file that is not valid, cannot be read or does not fit what the chains are attached to
// changes nothing. It is logged once, and [File.State] has the error.
//
// Both chains change together, but a call of the server that is under way may make calls with the new chain of the
// client. Entries that have not changed keep their instances ([WithPrevious]). What only the policy before has is
// closed once its last call has ended and the garbage collector has found that.
//
// An audit file has one writer, which a changed entry takes over if the settings of file have not changed. The section
// gateway is not applied: read [File.Policy]. Interceptors read keys, certificates and tokens again themselves; an
// entry that reads a file only when it is made, such as ca_file, is made anew when that changes.
func Open(path string, opts ...Option) (*File, error) {
	f := &File{path: path, opts: opts, settings: newSettings(opts), pending: make(map[*held]struct{})}
	p, seen, err := f.load(nil)
	if err != nil {
		return nil, err
	}
	f.server, f.client = hauberk.NewLive(p.Server()), hauberk.NewLive(p.Client())
	f.seen = seen
	f.adopt(p, seen)
	f.watch = f.newWatch(p)
	go f.watch.run()
	return f, nil
}

// Server returns the chain for incoming calls. It is the same Live for each policy of the file.
func (f *File) Server() *hauberk.Live { return f.server }

// Client returns the chain for outgoing calls, as Server does.
func (f *File) Client() *hauberk.Live { return f.client }

// Policy returns the policy in force. A program that keeps it keeps what it holds open.
func (f *File) Policy() *Policy { return f.current.Load() }

// Reload loads the file at once, for example after SIGHUP, also if it has not changed: environment variables may
// have. It returns why the file is not in force, or nil.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("policy: %s is closed", f.path)
	}
	p, seen, err := f.load(f.current.Load())
	if err == nil {
		err = f.swap(p)
	}
	f.judged(p, seen, err)
	return err
}

// Close ends the watching and closes the policy. The servers and connections of its chains must have ended. Further
// calls do nothing.
func (f *File) Close() error {
	f.watch.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	var failed []error
	for h := range f.pending {
		failed = append(failed, h.release())
	}
	clear(f.pending)
	return errors.Join(failed...)
}

// load reads and parses the file. seen is what was read, also if there is an error.
func (f *File) load(previous *Policy) (p *Policy, seen sum, err error) {
	data, err := yamlfile.Read(f.path)
	if err != nil {
		return nil, sumOf(nil, err, inputsOf(previous)), err
	}
	seen = sumOf(data, nil, inputsOf(previous))
	p, err = Parse(f.path, data, append(slices.Clip(f.opts), WithPrevious(previous))...)
	if err != nil {
		return nil, seen, err
	}
	return p, sumOf(data, nil, p.inputs), nil
}

func inputsOf(p *Policy) []string {
	if p == nil {
		return nil
	}
	return p.inputs
}

// swap puts a policy in force: both chains, or none.
func (f *File) swap(p *Policy) error {
	err := errors.Join(
		placed(f.path, "server", f.server.Check(p.Server())), placed(f.path, "client", f.client.Check(p.Client())),
	)
	if err == nil {
		err = placed(f.path, "server", f.server.Swap(p.Server()))
	}
	if err == nil {
		if err = placed(f.path, "client", f.client.Swap(p.Client())); err != nil {
			// Something that does not fit was attached since Check.
			err = errors.Join(err, f.server.Swap(f.current.Load().Server()))
		}
	}
	if err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

// placed adds the file and the chain to an error of a Live.
func placed(path, chain string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s:1:1: %s: %w", path, chain, err)
}

// judged notes the outcome of a load.
func (f *File) judged(p *Policy, seen sum, err error) {
	f.seen = seen
	if err != nil {
		f.fail(err)
		return
	}
	f.adopt(p, seen)
	f.watch.follow(p)
}

// adopt makes a policy, whose chains are in force, the current one.
func (f *File) adopt(p *Policy, seen sum) {
	f.current.Store(p)
	f.inForce = seen
	f.pending[p.held] = struct{}{}
	r := &releasing{file: f, held: p.held}
	r.chains.Store(2)
	runtime.AddCleanup(p.server, (*releasing).gone, r)
	runtime.AddCleanup(p.client, (*releasing).gone, r)
	f.succeed(seen)
}

// releasing closes a policy once both of its chains are garbage. It does not refer to them.
type releasing struct {
	file   *File
	held   *held
	chains atomic.Int32
}

// gone runs on the goroutine of the cleanups, which must not wait.
func (r *releasing) gone() {
	if r.chains.Add(-1) == 0 {
		go r.close()
	}
}

func (r *releasing) close() {
	r.file.mu.Lock()
	_, open := r.file.pending[r.held]
	delete(r.file.pending, r.held)
	r.file.mu.Unlock()
	if !open {
		return // Close was quicker
	}
	if err := r.held.release(); err != nil {
		r.file.settings.deps.Logger.Error("policy: an interceptor of a policy that was replaced is not closed",
			slog.String("file", r.file.path), slog.Any("error", err))
	}
}
