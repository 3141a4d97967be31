package transform

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// plain is a message of a codec other than protobuf.
type plain struct{ text string }

func TestMessagesOfOtherCodecs(t *testing.T) {
	edit := editing(func(m *plain) error {
		m.text += "!"
		return nil
	})
	received := &plain{"a"}
	if keep, err := receiving(&hauberk.Call{}, edit)(received); !keep || err != nil || received.text != "a!" {
		t.Errorf("received: %q, %t, %v; want a! to be kept", received.text, keep, err)
	}
	other := Func[*plain](func(_ *hauberk.Call, _ *plain, emit func(*plain) error) error { return emit(&plain{"b"}) })
	if keep, err := receiving(&hauberk.Call{}, other)(received); !keep || err != nil || received.text != "b" {
		t.Errorf("replaced: %q, %t, %v; want b to be kept", received.text, keep, err)
	}
	none := Func[*plain](func(_ *hauberk.Call, _ *plain, emit func(*plain) error) error { return emit(nil) })
	if _, err := receiving(&hauberk.Call{}, none)(received); err == nil {
		t.Error("no error for a nil message")
	}
	var sent []any
	emit := func(m any) error {
		sent = append(sent, m)
		return nil
	}
	if err := sending(&hauberk.Call{}, edit)(received, emit); err != nil || len(sent) != 1 ||
		sent[0].(*plain).text != "b!" || received.text != "b" {
		t.Errorf("sent %v of %v, %v; want b! of b", sent, received, err)
	}
}

// FuzzChange compares change with a model.
func FuzzChange(f *testing.F) {
	f.Add([]byte("ab"), []byte("ab"), []byte("c"), []byte("d"), []byte("a"))
	f.Add([]byte("aab"), []byte("abba"), []byte(""), []byte("aa"), []byte("ab"))
	f.Fuzz(func(t *testing.T, given, rename, remove, set, add []byte) {
		var r rewrite
		seen := map[string]bool{}
		for pair := range slices.Chunk(rename, 2) {
			if from := key(pair[0]); len(pair) == 2 && !seen[from] {
				seen[from] = true
				r.rename = append(r.rename, [2]string{from, key(pair[1])})
			}
		}
		for _, b := range remove {
			r.remove = append(r.remove, key(b))
		}
		r.set, r.add = numbered("s", set), numbered("a", add)

		got := r.change(numbered("g", given))
		maps.DeleteFunc(got, func(_ string, values []string) bool { return len(values) == 0 })
		if want := model(&r, numbered("g", given)); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v; want %v", got, want)
		}
	})
}

// key returns one of five keys.
func key(b byte) string { return string('a' + rune(b%5)) }

// numbered returns metadata with a value for each byte.
func numbered(prefix string, keys []byte) metadata.MD {
	md := metadata.MD{}
	for i, b := range keys {
		md[key(b)] = append(md[key(b)], prefix+string(rune('0'+i%10)))
	}
	return md
}

// model is change for one key after the other.
func model(r *rewrite, md metadata.MD) metadata.MD {
	out := metadata.MD{}
	for k := range byte(5) {
		var values []string
		if !slices.ContainsFunc(r.rename, func(p [2]string) bool { return p[0] == key(k) }) {
			values = md[key(k)]
		}
		for _, p := range r.rename {
			if p[1] == key(k) {
				values = slices.Concat(values, md[p[0]])
			}
		}
		if slices.Contains(r.remove, key(k)) {
			values = nil
		}
		if set, ok := r.set[key(k)]; ok {
			values = set
		}
		if values = slices.Concat(values, r.add[key(k)]); len(values) > 0 {
			out[key(k)] = values
		}
	}
	return out
}
