package fieldpath_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
)

// FuzzText compares the text of any path in any message with a walk that follows the names one by one, and
// has its own rules for what is none.
func FuzzText(f *testing.F) {
	f.Add("name", []byte("\x0a\x01a"), byte(0))
	f.Add("child.child.storage_name", []byte("\x22\x05\x22\x03\x12\x01b"), byte(0))
	f.Add("right.left", []byte("\x32\x03\x2a\x01c"), byte(0))
	f.Add("flag", []byte{}, byte(0))
	f.Add("maybe_number", []byte("\x90\x01\x00"), byte(0))
	f.Add("child.color", []byte("\x22\x02\x70\x07"), byte(0))
	f.Add("part.id", []byte("\x0b\x0a\x01d\x0c"), byte(1))
	f.Add("level", []byte("\x20\x02"), byte(1))
	f.Add("part.part.implicit", []byte("\x0b\x0b\x18\x01\x0c\x0c"), byte(2))
	f.Add("any.type_url", []byte("\x52\x03\x0a\x01e"), byte(0))
	f.Add("labels.value", []byte("\x4a\x03\x0a\x01e"), byte(0))
	types := []protoreflect.MessageDescriptor{
		messageOf(f, proto3, "Node"), messageOf(f, proto2, "Old"), messageOf(f, editions, "New"),
	}
	f.Fuzz(func(t *testing.T, path string, encoded []byte, which byte) {
		d := types[int(which)%len(types)]
		m := dynamicpb.NewMessage(d)
		if (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(encoded, m) != nil {
			return
		}
		parsed, err := fieldpath.Parse(path)
		if err != nil {
			return
		}
		field, err := parsed.Resolve(d, fieldpath.Texts)
		want, fits := walk(m, strings.Split(path, "."))
		if fits != (err == nil) {
			t.Fatalf("%q of %s has the error %v; that it fits is %t", path, d.FullName(), err, fits)
		}
		if err != nil {
			return
		}
		if got, ok := field.Text(m); got != want || ok != (want != "") {
			t.Fatalf("%q is %q, %t; want %q", path, got, ok, want)
		}
	})
}

// walk is what FuzzText compares with. It returns "" for none.
func walk(m protoreflect.Message, names []string) (text string, fits bool) {
	missing := false
	for i, name := range names {
		if i > 0 && m.Descriptor().FullName() == "google.protobuf.Any" {
			return "", false
		}
		f := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil || f.Cardinality() == protoreflect.Repeated {
			return "", false
		}
		isMessage := f.Kind() == protoreflect.MessageKind || f.Kind() == protoreflect.GroupKind
		if isMessage == (i == len(names)-1) {
			return "", false
		}
		if isMessage {
			missing = missing || !m.Has(f)
			m = m.Get(f).Message()
			continue
		}
		text, fits = textOf(m, f)
	}
	if missing {
		text = ""
	}
	return text, fits
}

func textOf(m protoreflect.Message, f protoreflect.FieldDescriptor) (text string, fits bool) {
	set := m.Has(f)
	switch v := m.Get(f).Interface().(type) {
	case string:
		text = v
	case bool:
		set = set || !f.HasPresence()
		text = fmt.Sprint(v)
	case int32, int64, uint32, uint64:
		text = fmt.Sprint(v)
	case protoreflect.EnumNumber:
		text = fmt.Sprint(int32(v))
		if value := f.Enum().Values().ByNumber(v); value != nil {
			text = string(value.Name())
		}
	default:
		return "", false
	}
	if !set {
		return "", true
	}
	return text, true
}
