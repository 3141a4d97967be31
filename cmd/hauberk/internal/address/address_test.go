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

func TestCalls(t *testing.T) {
	tests := []struct{ flag, want, wrong string }{
		{"unix:/run/shop.sock", "/run/shop.sock", ""},
		{"unix:///run/shop.sock", "/run/shop.sock", ""},
		{"unix:shop.sock", "shop.sock", ""},
		{"127.0.0.1:1", "127.0.0.1:1", ""},
		{"unix:", "", "path of 0 bytes"},
		{"unix:/" + strings.Repeat("x", 107), "", "path of 108 bytes; want unix:PATH with 1 to 107"},
		{":1", "", "accepts plain-text calls"},
		{"", "", "--listen is missing"},
	}
	for _, test := range tests {
		addr, err := Calls(t.Context(), test.flag, "127.0.0.1:8443", false)
		switch {
		case test.wrong != "":
			if err == nil || addr != nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%q is %v, %v; want an error with %q", test.flag, addr, err, test.wrong)
			}
		case err != nil || addr.String() != test.want:
			t.Errorf("%q is %v, %v; want %s", test.flag, addr, err, test.want)
		}
	}
}
