package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// State is what has become of a [File].
type State struct {
	// Path is the path of the file.
	Path string
	// Hash is the first half of the SHA-256 of the text whose policy is in force, in hexadecimal. Since is when it was
	// put in force. Neither changes while a file that is not valid is tried, nor when it is reverted.
	Hash  string
	Since time.Time
	// Loads and Failures count the loads that were put in force, with the first one, and those that were not.
	Loads, Failures int64
	// Err is why the file as it is now is not in force, with a line for each error, or nil. FailedAt is when it was
	// found.
	Err      error
	FailedAt time.Time
}

// State returns the state. Safe for concurrent use.
func (f *File) State() State { return *f.state.Load() }

// succeed notes that a policy is in force.
func (f *File) succeed(seen sum) {
	next := State{Path: f.path, Hash: seen.text, Since: f.settings.now(), Loads: 1}
	if last := f.state.Load(); last != nil {
		next.Loads, next.Failures = last.Loads+1, last.Failures
		f.settings.deps.Logger.Info("policy: the file is in force",
			slog.String("file", f.path), slog.String("hash", next.Hash))
	}
	f.note(next)
}

// revert notes that the file has the content in force again.
func (f *File) revert() {
	next := *f.state.Load()
	next.Err, next.FailedAt = nil, time.Time{}
	f.settings.deps.Logger.Info("policy: the file is again the one in force",
		slog.String("file", f.path), slog.String("hash", next.Hash))
	f.note(next)
}

// fail notes that the file is not in force. An error is logged if the last one was not the same.
func (f *File) fail(err error) {
	next := *f.state.Load()
	if next.Err == nil || next.Err.Error() != err.Error() {
		f.settings.deps.Logger.Error("policy: the file is not in force",
			slog.String("file", f.path), slog.String("hash", next.Hash), slog.Any("error", err))
	}
	next.Failures++
	next.Err, next.FailedAt = err, f.settings.now()
	f.note(next)
}

func (f *File) note(next State) {
	f.state.Store(&next)
	if f.settings.listener != nil {
		f.settings.listener(next)
	}
}

// now returns the time.
func (s *settings) now() time.Time {
	if s.deps.Clock == nil {
		return time.Now()
	}
	return s.deps.Clock()
}

// Measurements returns the numbers of the file, under the name "policy", as [hauberk.Chain.Measurements] does for
// interceptors. Safe for concurrent use.
func (f *File) Measurements() iter.Seq2[string, hauberk.Measurement] {
	return func(yield func(string, hauberk.Measurement) bool) {
		s := f.State()
		current := 0.0
		if s.Err == nil {
			current = 1
		}
		loads := hauberk.Measurement{
			Name: "policy_loads_total", Help: "Loads of the policy file, by result.",
			Counter: true, LabelName: "result",
		}
		ok, failed := loads, loads
		ok.LabelValue, ok.Value = "ok", float64(s.Loads)
		failed.LabelValue, failed.Value = "failed", float64(s.Failures)
		for _, m := range []hauberk.Measurement{ok, failed, {
			Name: "policy_current", Help: "1 if the policy file as it is now is in force, and else 0.", Value: current,
		}, {
			Name: "policy_since_seconds", Help: "When the policy was put in force, in seconds since 1970.",
			Value: float64(s.Since.UnixMilli()) / 1000,
		}} {
			if !yield("policy", m) {
				return
			}
		}
	}
}

// sum identifies what a policy is made of.
type sum struct {
	text string            // of the file
	all  [sha256.Size]byte // with the files that it names, or with the error of reading it
}

// sumOf returns the sum of the content of a file, or of the error of reading it, and of the files that it names.
func sumOf(data []byte, failed error, inputs []string) sum {
	own := sha256.Sum256(data)
	all := sha256.New()
	_, _ = all.Write(own[:])
	if failed != nil {
		_, _ = io.WriteString(all, failed.Error())
	}
	for _, path := range inputs {
		_, _ = fmt.Fprintf(all, "%q", path)
		if err := addFile(all, path); err != nil {
			_, _ = io.WriteString(all, err.Error())
		}
	}
	return sum{hex.EncodeToString(own[:16]), [sha256.Size]byte(all.Sum(nil))}
}

// maxInput is how much of a file that a policy names is compared.
const maxInput = 16 << 20

// addFile writes the content of a regular file.
func addFile(w io.Writer, path string) error {
	info, err := os.Stat(path) // before Open, which waits for the writer of a named pipe
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return yamlfile.ErrNotRegular
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, io.LimitReader(file, maxInput))
	return err
}
