package policy

import (
	"regexp"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	// File is the name of the file, and Line and Column the place in it, both 1 or more. Line is 0 if the
	// problem has no place.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Message says what is wrong, and what would be right.
	Message string `json:"message"`
}

// located is a line of an error: file:line:column: message.
var located = regexp.MustCompile(`^(.*?):([1-9]\d*):([1-9]\d*): (.*)$`)

// Problems returns the lines of an error of [Load] or [Parse], in their order. It returns nil for nil. An error
// of another form has problems without a place.
func Problems(err error) []Problem {
	if err == nil {
		return nil
	}
	var all []Problem
	for line := range strings.SplitSeq(err.Error(), "\n") {
		m := located.FindStringSubmatch(line)
		if m == nil {
			all = append(all, Problem{Message: line})
			continue
		}
		at, _ := strconv.Atoi(m[2])
		column, _ := strconv.Atoi(m[3])
		all = append(all, Problem{File: m[1], Line: at, Column: column, Message: m[4]})
	}
	return all
}
