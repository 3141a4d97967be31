package yamlfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// Values are returned as they are written; what is wrong is reported in the order of the file.
func TestValues(t *testing.T) {
	const text = `number: 42
rate: 100/1m30s
flag: true
choice: b
text: 007
list: [1, two, 3]
late: -1
`
	f := yamlfile.Parse("f.yaml", []byte(text))
	var got struct {
		number, choice, rate int
		per                  time.Duration
		flag                 bool
		text                 string
		list                 []int
	}
	f.Root().Map("the file", map[string]func(yamlfile.Value){
		"late":   func(v yamlfile.Value) { v.Int("late", 0, 9) },
		"number": func(v yamlfile.Value) { got.number, _ = v.Int("number", 0, 100) },
		"rate":   func(v yamlfile.Value) { got.rate, got.per, _ = v.Rate("rate") },
		"flag":   func(v yamlfile.Value) { got.flag, _ = v.Bool("flag") },
		"choice": func(v yamlfile.Value) { got.choice, _ = v.OneOf("choice", "a", "b") },
		"text":   func(v yamlfile.Value) { got.text, _ = v.Text("text") },
		"list": func(v yamlfile.Value) {
			v.List("list", func(v yamlfile.Value) {
				if n, ok := v.Int("an element", 1, 5); ok {
					got.list = append(got.list, n)
				}
			})
		},
	})
	if got.number != 42 || got.rate != 100 || got.per != 90*time.Second || !got.flag || got.choice != 1 || got.text != "007" || len(got.list) != 2 {
		t.Errorf("%+v", got)
	}
	want := `f.yaml:6:11: an element is "two"; want a number from 1 to 5
f.yaml:7:7: late is "-1"; want a number from 0 to 9`
	if err := f.Err(); err == nil || err.Error() != want {
		t.Errorf("%v; want\n%s", err, want)
	}
}

// Only regular files of a bounded size are read, and each error has the place.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "the file does not exist"},
		{dir, "it is a folder; want a file"},
		{os.DevNull, yamlfile.ErrNotRegular.Error()},
		{write("large", yamlfile.MaxSize+1), "the file has 1048577 bytes; want at most 1048576"},
	} {
		data, err := yamlfile.Read(c.path)
		if data != nil || err == nil || err.Error() != c.path+":1:1: "+c.want {
			t.Errorf("Read(%s) returns %d bytes and %v; want %q", c.path, len(data), err, c.want)
		}
	}
	if data, err := yamlfile.Read(write("largest", yamlfile.MaxSize)); err != nil || len(data) != yamlfile.MaxSize {
		t.Errorf("Read returns %d bytes and %v; want %d", len(data), err, yamlfile.MaxSize)
	}
}
