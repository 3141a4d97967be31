package filesaves_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/filesaves"
)

// Each way replaces the content, several times.
func TestWays(t *testing.T) {
	for name, save := range filesaves.Ways() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("first"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				text := strings.Repeat("text", i)
				if err := save(path, text); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != text {
					t.Errorf("%q, %v; want %q", got, err, text)
				}
			}
		})
	}
}
