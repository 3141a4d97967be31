package ratelimitservice

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// The file in the help is valid.
func TestHelpFile(t *testing.T) {
	_, text, _ := strings.Cut(long, "file:\n\n")
	text, _, _ = strings.Cut(text, "\n\nAll keys")
	_, redis, _ := strings.Cut(long, "share:\n\n")
	redis, _, _ = strings.Cut(redis, "\n\nFurther")
	file, err := limitsfile.Parse("help", []byte(text+"\n"+redis))
	if err != nil || len(file.Limits.Domains) != 1 || len(file.Limits.Domains[0].Descriptors) != 3 || file.Redis == nil {
		t.Errorf("%+v, %v", file, err)
	}
}

// Lines of the help fit on a terminal.
func TestHelpIsNotTooWide(t *testing.T) {
	for line := range strings.Lines(long) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 90 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}
