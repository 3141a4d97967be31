package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy"
)

// FuzzParse holds that a text is either a policy, which keeps all its instances when it is read again, or has errors
// with places and without secrets.
func FuzzParse(f *testing.F) {
	dir := folder(f)
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		opts := []policy.Option{policy.WithDir(dir), policy.WithEnv(env), policy.CheckOnly()}
		p, err := policy.Parse("policy.yaml", []byte(text), opts...)
		if err != nil {
			if !strings.Contains(text, "hunter2") {
				checkLines(t, err.Error())
			}
			return
		}
		again, err := policy.Parse("policy.yaml", []byte(text), append(opts, policy.WithPrevious(p))...)
		if err != nil {
			t.Fatalf("the second time: %v", err)
		}
		entries := again.Entries()
		for i := range entries {
			e := &entries[i]
			if e.Mode != policy.Off && !e.Kept || e.Hash != p.Entries()[i].Hash || e.Line < 1 || e.Column < 1 {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if p.Close() != nil || again.Close() != nil {
			t.Error("Close failed")
		}
	})
}
