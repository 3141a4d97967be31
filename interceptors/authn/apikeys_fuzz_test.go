package authn

import (
	"strings"
	"testing"
)

// FuzzKeyFile: a key file is parsed to keys that have all of their subjects, or is an error that
// does not contain a hash.
func FuzzKeyFile(f *testing.F) {
	hash := HashAPIKey("key")
	for _, seed := range []string{
		"", "# comment", "a " + hash, "a " + hash + " tenant=x roles=a,b\nb " + HashAPIKey("other"),
		"a " + hash + "\na " + hash, "a sha256:00", "a", "a " + hash + " expires=2027-01-31T00:00:00Z", "a " + hash + " =", "\x00 " + hash,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys([]byte(text), nil)
		if err != nil {
			if strings.Contains(err.Error(), hash[len(hashPrefix):]) && !strings.Contains(err.Error(), "an earlier line") {
				t.Errorf("the error %q contains a hash", err)
			}
			return
		}
		again, err := parseKeys([]byte(text), keys)
		if err != nil || len(again) != len(keys) {
			t.Fatalf("parsed again: %d keys, %v; want %d", len(again), err, len(keys))
		}
		for sum, key := range keys {
			if again[sum] != key || key.identity.Subject == "" || isRevoked(key.identity) {
				t.Errorf("%q: %+v", text, *key.identity)
			}
		}
	})
}
