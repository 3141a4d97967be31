package redact

import (
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// wellKnown writes a message with a special form in JSON, and reports whether m is one.
func (w *writer) wellKnown(m protoreflect.Message) bool {
	fields := m.Descriptor().Fields()
	switch name := isGoogle(m.Descriptor().FullName()); name {
	case "Any", "Timestamp", "Duration", "FieldMask", "Struct", "ListValue":
		if w.hidesAny(fields) { // its text is made of all its fields
			w.quote(Text)
			return true
		}
		return w.whole(m, name)
	case "BoolValue", "Int32Value", "Int64Value", "UInt32Value", "UInt64Value",
		"FloatValue", "DoubleValue", "StringValue", "BytesValue":
		w.only(m, fields.ByNumber(1))
	case "Value":
		w.only(m, m.WhichOneof(m.Descriptor().Oneofs().Get(0)))
	default:
		return false
	}
	return true
}

// whole writes a message whose form in JSON does not separate its fields. It reports
// whether it could.
func (w *writer) whole(m protoreflect.Message, name string) bool {
	first := m.Descriptor().Fields().ByNumber(1)
	switch name {
	case "Any":
		w.any(m)
	case "Struct":
		w.entries(first.MapValue(), m.Get(first).Map())
	case "ListValue":
		w.elements(first, m.Get(first).List())
	default:
		return w.plain(m)
	}
	return true
}

// plain writes a message with protojson. It has no fields with secrets.
func (w *writer) plain(m protoreflect.Message) bool {
	if proto.Size(m.Interface()) > maxParsed {
		return false
	}
	text, err := protojson.Marshal(m.Interface())
	if err == nil {
		w.raw(string(text))
	}
	return err == nil // an invalid time is written by its fields
}

// only writes a message in the form of its only field.
func (w *writer) only(m protoreflect.Message, f protoreflect.FieldDescriptor) {
	switch {
	case f == nil:
		w.raw("null")
	case w.hides(f):
		w.quote(Text)
	default:
		w.value(f, m.Get(f))
	}
}

// any writes the message in an Any if its type is known, and otherwise its URL only.
func (w *writer) any(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	url, raw := m.Get(fields.ByNumber(1)).String(), m.Get(fields.ByNumber(2)).Bytes()
	l := w.open("{}")
	defer l.end()
	if url == "" && len(raw) == 0 {
		return
	}
	l.member("@type")
	w.quote(logtext.Cut(url, maxName))
	inner := w.parse(url, raw)
	switch {
	case inner == nil:
		l.member("value")
		w.quote(Text)
	case isGoogle(inner.Descriptor().FullName()) != "":
		l.member("value")
		w.message(inner)
	default:
		w.depth++
		w.fields(l, inner)
		w.depth--
	}
}

// parse returns the message in an Any, or nil.
func (w *writer) parse(url string, raw []byte) protoreflect.Message {
	if len(raw) > maxParsed || w.depth >= maxDepth {
		return nil
	}
	t, err := w.types.FindMessageByURL(url)
	if err != nil {
		return nil
	}
	m := t.New()
	o := proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, Resolver: w.types}
	if err := o.Unmarshal(raw, m.Interface()); err != nil {
		return nil
	}
	return m
}

// isGoogle returns the short name of a message of google.protobuf, or "".
func isGoogle(name protoreflect.FullName) string {
	short, _ := strings.CutPrefix(string(name), "google.protobuf.")
	if len(short) == len(name) {
		return ""
	}
	return short
}
