package otelenv

import (
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// pause is the time between two reported errors. Errors in between are counted.
const pause = time.Minute

// reporter handles the errors of the SDK. Errors during the start are configuration errors
// that the checks have missed. Later errors are reported to the operator. There may be
// many of them.
type reporter struct {
	sayf func(format string, args ...any)
	now  func() time.Time

	mu       sync.Mutex // guards the fields below
	running  bool       // the SDK has started
	early    []error    // before that
	reported time.Time  // the last report
	skipped  int        // since then
}

func newReporter(sayf func(format string, args ...any)) *reporter {
	return &reporter{sayf: sayf, now: time.Now}
}

// started returns the errors so far. Further errors are reported.
func (r *reporter) started() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
	return errors.Join(r.early...)
}

// Handle implements [otel.ErrorHandler]. Safe for concurrent use.
func (r *reporter) Handle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case !r.running:
		r.early = append(r.early, err)
	case !r.reported.IsZero() && now.Sub(r.reported) < pause:
		r.skipped++
	case r.skipped > 0:
		r.sayf("telemetry: %v (%d errors before it were not reported)", err, r.skipped)
		r.reported, r.skipped = now, 0
	default:
		r.sayf("telemetry: %v", err)
		r.reported = now
	}
}

// logger handles the errors that the SDK only logs.
func (r *reporter) logger() logr.Logger {
	return funcr.New(func(_, args string) { r.Handle(errors.New(args)) }, funcr.Options{})
}
