package demo

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// report prints the progress and the totals: as text, or the totals alone as JSON.
type report struct {
	out, errOut io.Writer
	records     func() string // the log records to show, each once
	json        bool
	screen      screen
}

func newReport(o *options, records func() string, out, errOut io.Writer) *report {
	return &report{
		out: out, errOut: errOut, records: records, json: o.json,
		// Log records between the tables would move them.
		screen: screen{w: out, inPlace: isTerminal(out) && !o.log},
	}
}

// begin writes the text ahead of the first table. With --json that is only the addresses,
// on stderr.
func (r *report) begin(s story) error {
	w, text := r.out, s.String()
	if r.json {
		w, text = r.errOut, s.addresses()
	}
	_, err := io.WriteString(w, text)
	return err
}

// follow shows the result of count every second until ended is closed.
func (r *report) follow(count func() *totals, ended <-chan struct{}) error {
	if r.json {
		<-ended
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := &totals{}
	for {
		select {
		case <-ended:
			return nil
		case <-ticker.C:
		}
		t := count()
		if err := r.screen.show(r.news(), t.table("so far", last)); err != nil {
			return err
		}
		last = t
	}
}

// end shows the totals.
func (r *report) end(t *totals) error {
	if r.json {
		return t.writeJSON(r.out)
	}
	return r.screen.show(r.news(), t.table("totals", &totals{}))
}

// news returns the log records of rejections with new reasons, under a heading.
func (r *report) news() string {
	records := r.records()
	if records == "" {
		return ""
	}
	return "The first log record of each rejection reason:\n\n" + indent(records) + "\n"
}

// screen shows one block of text after another: each replaces the last one, or follows
// it after an empty line. What is shown above a block stays.
type screen struct {
	w       io.Writer
	inPlace bool
	lines   int // of the last block
}

// show writes the text above, if any, and a block. Both consist of whole lines.
func (s *screen) show(above, block string) error {
	before := ""
	switch {
	case s.inPlace && s.lines > 0:
		before = fmt.Sprintf("\r\x1b[%dA\x1b[J", s.lines) // up, and clear from there
	case s.inPlace:
		before = "\r" // overwrites the ^C of a terminal
	case s.lines > 0:
		before = "\n"
	}
	s.lines = strings.Count(block, "\n")
	_, err := io.WriteString(s.w, before+above+block)
	return err
}

// isTerminal reports whether w is a terminal that supports escape sequences.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// table formats the totals as text, with the rates since the earlier totals.
func (t *totals) table(title string, since *totals) string {
	var b strings.Builder
	seconds := max(t.Seconds-since.Seconds, 0.001)
	fmt.Fprintf(&b, "%s   %.1f s   %d calls   %.0f/s   %d ok   %d errors\n\n",
		title, t.Seconds, t.Calls, float64(t.Calls-since.Calls)/seconds, t.OK, t.failed())
	t.writeMethods(&b, since, seconds)
	b.WriteByte('\n')
	writeList(&b, "errors", t.Errors)
	writeList(&b, "rejections", t.Rejections)
	fmt.Fprintf(&b, "%-*s%d attempts  %d succeeded\n",
		listIndent, "retries", t.Retries.Attempts, t.Retries.Succeeded)
	writeList(&b, "breakers", t.Breakers)
	return b.String()
}

func (t *totals) writeMethods(b *strings.Builder, since *totals, seconds float64) {
	names := slices.Sorted(maps.Keys(t.Methods))
	width := len("METHOD")
	for _, name := range names {
		width = max(width, len(name))
	}
	fmt.Fprintf(b, "%-*s %9s %8s %8s %6s %9s %9s\n",
		width, "METHOD", "CALLS", "PER S", "ERRORS", "%", "P50 MS", "P99 MS")
	for _, name := range names {
		m := t.Methods[name]
		fmt.Fprintf(b, "%-*s %9d %8.1f %8d %6.1f %9.2f %9.2f\n", width, name,
			m.Calls, float64(m.Calls-since.Methods[name].Calls)/seconds, m.Errors,
			100*float64(m.Errors)/float64(max(m.Calls, 1)), m.P50, m.P99)
	}
}

const (
	maxColumns = 100
	listIndent = 12
)

// writeList writes the entries of a map, sorted by key, in lines of at most maxColumns.
func writeList[V any](b *strings.Builder, title string, of map[string]V) {
	line := fmt.Sprintf("%-*s", listIndent, title)
	if len(of) == 0 {
		line += "none"
	}
	for i, key := range slices.Sorted(maps.Keys(of)) {
		entry := fmt.Sprintf("%s %v", key, of[key])
		switch {
		case i == 0:
		case len(line)+2+len(entry) > maxColumns:
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", listIndent)
		default:
			line += "  "
		}
		line += entry
	}
	b.WriteString(line + "\n")
}
