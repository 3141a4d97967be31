package breaker

import (
	"context"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// Change is a change of a circuit's state or mode.
type Change struct {
	Circuit  string // its name: see Circuit.Name
	From, To State  // equal if only the mode has changed
	Failures int    // consecutive failures so far

	Mode        Mode          // after the change
	Window      Counts        // what the window held before the change; zero without ratios
	OpenFor     time.Duration // how long the circuit is open; 0 if To is not Open, or it is forced
	LastFailure error         // of the circuit, or nil
}

// log logs a change.
func (c *Change) log(logger *slog.Logger) {
	level, text := slog.LevelInfo, "a circuit has changed"
	if c.To == Open {
		level, text = slog.LevelWarn, "a circuit has opened"
	}
	attrs := []slog.Attr{
		slog.String("circuit", logtext.Cut(c.Circuit, maxLogged)),
		slog.String("from", c.From.String()), slog.String("to", c.To.String()), slog.String("mode", c.Mode.String()),
		slog.Int("failures", c.Failures),
	}
	if c.Window != (Counts{}) {
		attrs = append(attrs, slog.Group("window",
			slog.Int("calls", c.Window.Calls), slog.Int("failures", c.Window.Failures),
			slog.Int("slow", c.Window.Slow)))
	}
	if c.OpenFor > 0 {
		attrs = append(attrs, slog.Duration("open_for", c.OpenFor))
	}
	if c.LastFailure != nil && c.To == Open {
		attrs = append(attrs, slog.String("last_failure", logtext.Cut(c.LastFailure.Error(), maxLogged)))
	}
	//nolint:sloglint // one of two texts; a change is of no call
	logger.LogAttrs(context.Background(), level, text, attrs...)
}

// maxLogged is the greatest length of a text of others in a record, in bytes.
const maxLogged = 256

// changed reports a change of a circuit. It runs without the circuit's lock, on the goroutine of a
// call.
func (b *Interceptor) changed(c *circuit, change *breaker.Change) {
	b.changes[change.To].Add(1)
	report := Change{
		Circuit: c.name, From: change.From, To: change.To, Failures: change.Failures,
		Mode: change.Mode, Window: change.Window, OpenFor: change.OpenFor, LastFailure: c.lastFailure(),
	}
	b.news.Add(report)
	if b.onChange != nil {
		b.onChange(report)
	}
}
