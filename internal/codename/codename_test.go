package codename_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/codename"
)

// Every code has one name, which is read back.
func TestNames(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.OK: "OK", codes.NotFound: "NOT_FOUND", codes.Unauthenticated: "UNAUTHENTICATED", 17: "CODE(17)", 1<<32 - 1: "CODE(4294967295)",
	} {
		name := codename.Of(code)
		parsed, ok := codename.Parse(name)
		if name != want || !ok || parsed != code {
			t.Errorf("%d is %s, read as %d; want %s", code, name, parsed, want)
		}
	}
	for _, name := range []string{"", "not_found", "CODE(1)", "CODE(017)", "CODE(-1)", "CODE(4294967296)", "CODE()", "CODE(", "CODE(17)x"} {
		if code, ok := codename.Parse(name); ok {
			t.Errorf("%q is read as %d", name, code)
		}
	}
}
