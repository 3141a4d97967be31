package metadatakey_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

func TestKeys(t *testing.T) {
	for key, want := range map[string]struct{ legal, binary, reserved, text bool }{
		"x-request-id":           {legal: true, text: true},
		"a.b_c-1":                {legal: true, text: true},
		"x-trace-bin":            {legal: true, binary: true},
		"":                       {},
		"X-Upper":                {},
		":path":                  {},
		"a b":                    {},
		"ä":                      {},
		"a\n":                    {},
		"grpc-timeout":           {legal: true, reserved: true},
		"grpc-trace-bin":         {legal: true, binary: true, reserved: true},
		"te":                     {legal: true, reserved: true},
		"content-type":           {legal: true, reserved: true},
		"proxy-authorization":    {legal: true, reserved: true},
		"authorization":          {legal: true, text: true},
		"x-content-type-options": {legal: true, text: true},
	} {
		got := struct{ legal, binary, reserved, text bool }{
			metadatakey.Legal(key), metadatakey.Binary(key), metadatakey.Reserved(key), metadatakey.Text(key),
		}
		if key != "" && got != want || key == "" && (got.legal || got.text) {
			t.Errorf("%q: %+v, want %+v", key, got, want)
		}
	}
}

func TestLegalValue(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"a", "", true},
		{"a", " ~", true},
		{"a", "\x1f", false},
		{"a", "\x7f", false},
		{"a", "ä", false},
		{"a", "a\nb", false},
		{"a-bin", "\x00\xff", true},
	} {
		if got := metadatakey.LegalValue(c.key, c.value); got != c.want {
			t.Errorf("%q under %q: %t, want %t", c.value, c.key, got, c.want)
		}
	}
}
