package ratelimitrls

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

// Keys are sent unchanged if they are plain text.
func TestKeyText(t *testing.T) {
	tests := []struct{ key, want string }{
		{"alice", "alice"},
		{"Ægir_ø 1", "Ægir_ø 1"},
		{"", "base64:"},
		{"\xff\x00", "base64:/wA="},
		{"a\nb", "base64:YQpi"},
		{"\u0085", "base64:woU="},
		{"base64:YQ==", "base64:YmFzZTY0OllRPT0="},
		{"sha256:", "base64:c2hhMjU2Og=="},
		{strings.Repeat("x", 256), strings.Repeat("x", 256)},
	}
	for _, test := range tests {
		if got := keyText([]byte(test.key)); got != test.want {
			t.Errorf("%q is sent as %q; want %q", test.key, got, test.want)
		}
	}
	long := keyText([]byte(strings.Repeat("x", 64<<10)))
	if !strings.HasPrefix(long, "sha256:") || len(long) != len("sha256:")+64 {
		t.Errorf("64 KiB are sent as %q", long)
	}
}

// Peers are sent as addresses, or as text that does not look like one.
func TestPeerText(t *testing.T) {
	address := func(text string) string {
		a := netip.MustParseAddr(text).As16()
		return "\x00" + string(a[:])
	}
	tests := []struct{ key, want string }{
		{address("192.0.2.1"), "192.0.2.1"},
		{address("2001:db8::"), "2001:db8::"},
		{"\x01\x00\x00\x00\x09192.0.2.1", "text:192.0.2.1"},
		{"\x01\x00\x00\x00\x04unix", "text:unix"},
		{"\x01\x00\x00\x00\x01\xff", "text:base64:/w=="},
		{"\x02", "none"},
	}
	for _, test := range tests {
		if got := peerText([]byte(test.key)); got != test.want {
			t.Errorf("%q is sent as %q; want %q", test.key, got, test.want)
		}
	}
}

// FuzzKeyText holds that different keys have different values, which are short and valid.
func FuzzKeyText(f *testing.F) {
	f.Add([]byte("alice"), []byte("bob"))
	f.Add([]byte("base64:YQ=="), []byte("a"))
	f.Add([]byte(strings.Repeat("x", 300)), []byte("sha256:00"))
	f.Add([]byte(nil), []byte{0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		one, other := keyText(a), keyText(b)
		if (one == other) != bytes.Equal(a, b) {
			t.Errorf("%q and %q are sent as %q and %q", a, b, one, other)
		}
		if !utf8.ValidString(one) || one == "" || len(one) > 7+(maxPlain+2)/3*4 {
			t.Errorf("%q is sent as %q", a, one)
		}
	})
}
