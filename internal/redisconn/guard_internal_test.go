package redisconn

import (
	"slices"
	"testing"
)

// FuzzScanner feeds a scanner a stream in two pieces: it must find the same as in one, and never panic.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n+a\r\n*0\r\n", "$-1\r\n", "*-1\r\n:1\r\n", "_\r\n", ">1\r\n+x\r\n", "$99999999999\r\n", "\r\n", "x",
	} {
		f.Add([]byte(seed), 3)
	}
	scan := func(parts ...[]byte) (begun []byte, failed bool) {
		s := scanner{maxText: 1 << 20, begins: func(kind byte) error {
			begun = append(begun, kind)
			return nil
		}}
		for _, p := range parts {
			if _, err := s.scan(p); err != nil {
				return begun, true
			}
		}
		return begun, false
	}
	f.Fuzz(func(t *testing.T, stream []byte, at int) {
		at = min(max(at, 0), len(stream))
		one, failed := scan(stream)
		two, failedToo := scan(stream[:at], stream[at:])
		if !slices.Equal(one, two) || failed != failedToo {
			t.Errorf("%q: %q, %t; in two pieces %q, %t", stream, one, failed, two, failedToo)
		}
	})
}
