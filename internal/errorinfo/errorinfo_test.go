package errorinfo_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/errorinfo"
)

// Reasons of one character are valid as well: programs have them.
func TestValidReason(t *testing.T) {
	for text, want := range map[string]bool{
		"A": true, "ITEM_NOT_FOUND": true, "A1": true, "A__B": true, strings.Repeat("A", 63): true,
		"": false, "a": false, "_A": false, "A_": false, "1A": false, "A-B": false, "A B": false, "Ä": false,
		strings.Repeat("A", 64): false,
	} {
		if errorinfo.ValidReason(text) != want {
			t.Errorf("%q is valid: %t; want %t", text, !want, want)
		}
	}
}

func FuzzValidReason(f *testing.F) {
	f.Add("ITEM_NOT_FOUND")
	f.Add("A_")
	f.Add("\xff")
	form := regexp.MustCompile(`^[A-Z]([A-Z0-9_]{0,61}[A-Z0-9])?$`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := errorinfo.ValidReason(text), form.MatchString(text) && !strings.HasSuffix(text, "\n"); got != want {
			t.Errorf("%q is valid: %t; want %t", text, got, want)
		}
	})
}
