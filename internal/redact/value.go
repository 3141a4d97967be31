package redact

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// value writes a single value of a field.
func (w *writer) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.message(v.Message())
	case protoreflect.EnumKind:
		w.enum(f.Enum(), v.Enum())
	case protoreflect.StringKind:
		w.quote(v.String())
	case protoreflect.BytesKind:
		raw := v.Bytes()
		w.quote(base64.StdEncoding.EncodeToString(raw[:min(len(raw), w.limit)]))
	case protoreflect.FloatKind:
		w.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		w.float(v.Float(), 64)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.quote(v.String())
	default: // numbers of 32 bits, and booleans
		w.raw(v.String())
	}
}

func (w *writer) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		w.quote("NaN")
	case math.IsInf(v, 0):
		w.quote(map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0])
	default:
		w.raw(strconv.FormatFloat(v, 'g', -1, bits))
	}
}

func (w *writer) enum(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) {
	v := e.Values().ByNumber(n)
	switch {
	case e.FullName() == "google.protobuf.NullValue":
		w.raw("null")
	case v == nil:
		w.raw(strconv.Itoa(int(n)))
	case isMarked(v.Options(), markOfValue):
		w.quote(Text)
	default:
		w.quote(string(v.Name()))
	}
}

const hex = "0123456789abcdef"

// AppendQuoted appends a string of JSON. Bytes that are not UTF-8 become U+FFFD.
func AppendQuoted(buf []byte, text string) []byte {
	buf = append(buf, '"')
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		switch {
		case r == '"' || r == '\\':
			buf = append(buf, '\\', byte(r))
		case r == '\n':
			buf = append(buf, `\n`...)
		case r < ' ':
			buf = append(buf, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r == '\u2028' || r == '\u2029': // line ends for some programs
			buf = append(buf, '\\', 'u', '2', '0', '2', hex[r&15])
		default:
			buf = utf8.AppendRune(buf, r)
		}
	}
	return append(buf, '"')
}
