// Command demosvg draws the output of `hauberk demo` as an SVG file of plain text:
//
//	bin/hauberk demo --for 4s 2>&1 | go run ./scripts/demosvg >docs/demo.svg
//
// It omits the log records, which are too wide, and all tables but the first.
package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	columns    = 104 // longer lines are cut
	lineHeight = 17
	charWidth  = 8 // at most, of a monospaced font of 13 px
	margin     = 16
)

func main() {
	if err := draw(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demosvg:", err)
		os.Exit(1)
	}
}

func draw(in io.Reader, out io.Writer) error {
	lines, err := selected(in)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	width, height := columns*charWidth+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>The output of hauberk demo</title>
<rect width="100%%" height="100%%" rx="6" fill="#0d1117"/>
<g fill="#c9d1d9" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" xml:space="preserve">
`, width, height)
	for i, line := range lines {
		if line == "" {
			continue
		}
		fmt.Fprintf(w, `<text x="%d" y="%d">`, margin, margin+(i+1)*lineHeight-4)
		if err := xml.EscapeText(w, []byte(line)); err != nil {
			return err
		}
		fmt.Fprintln(w, "</text>")
	}
	fmt.Fprintln(w, "</g>\n</svg>")
	return w.Flush()
}

// selected returns the lines to draw: those before the log records, and the first table.
func selected(in io.Reader) ([]string, error) {
	lines := []string{"$ hauberk demo", ""}
	records, table := false, false
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "The first log record"):
			records = true
		case strings.HasPrefix(line, "so far") && table:
			return trimmed(lines), drain(scanner)
		case strings.HasPrefix(line, "so far"):
			records, table = false, true
		}
		if records {
			continue
		}
		if runes := []rune(line); len(runes) > columns {
			line = string(runes[:columns-1]) + "…"
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if !table {
		return nil, fmt.Errorf("the input has no table in %d lines; want the output of hauberk demo", len(lines))
	}
	return trimmed(lines), nil
}

// drain reads the rest, so that the demo can write it.
func drain(scanner *bufio.Scanner) error {
	for scanner.Scan() {
		continue
	}
	return scanner.Err()
}

// trimmed removes the empty lines at the end.
func trimmed(lines []string) []string {
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
