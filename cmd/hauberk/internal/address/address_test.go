package address

import (
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	tests := []struct{ address, want string }{
		{"127.0.0.1:9464", "127.0.0.1:9464"},
		{"127.0.0.1:http", "127.0.0.1:80"},
		{"[::1]:0", "[::1]:0"},
		{":9464", ":9464"},
	}
	for _, test := range tests {
		addr, err := Resolve(t.Context(), test.address)
		if err != nil || addr.String() != test.want {
			t.Errorf("%s is %v, %v; want %s", test.address, addr, err, test.want)
		}
	}
}

func TestResolveWrong(t *testing.T) {
	tests := []struct{ address, want string }{
		{"", "missing port in address"},
		{"127.0.0.1", "missing port in address"},
		{"127.0.0.1:70000", "invalid port"},
		{"127.0.0.1:-1", "invalid port"},
	}
	for _, test := range tests {
		if addr, err := Resolve(t.Context(), test.address); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q is %v, %v; want an error with %q", test.address, addr, err, test.want)
		}
	}
}
