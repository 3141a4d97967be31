package redact

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// Text replaces values that are not written.
const Text = "[redacted]"

// maxName bounds the name of a type, in bytes.
const maxName = 256

// Types finds types by their names. protoregistry.GlobalTypes finds those whose generated
// code the program imports.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// Redactor writes messages as JSON without secrets. It is immutable, and safe for concurrent use.
type Redactor struct {
	names map[string]bool                // of fields in any message
	paths map[protoreflect.FullName]bool // of fields
	types Types
	limit int // in bytes
}

// New returns a Redactor that redacts the fields with names, in addition to those that are marked. A name
// is a field's full name or its plain one. Texts have at most limit bytes. New returns an error for each
// bad name, with the name of the setting. types may be nil if another error reports that.
func New(setting string, names []string, types Types, limit int) (*Redactor, []error) {
	r := &Redactor{
		names: make(map[string]bool), paths: make(map[protoreflect.FullName]bool), types: types, limit: limit,
	}
	var errs []error
	for _, name := range names {
		full := protoreflect.FullName(name)
		switch {
		case !full.IsValid():
			errs = append(errs, fmt.Errorf("%s has %q; "+
				"want a field's full name, \"shop.v1.Card.number\", or its plain one", setting, name))
		case full.Parent() == "":
			r.names[name] = true
			r.names[jsonName(name)] = true
		case !r.exists(full):
			errs = append(errs, fmt.Errorf("%s has %q, which is not a field of a known message; "+
				"import its generated code, or see WithTypes", setting, name))
		default:
			r.paths[full] = true
		}
	}
	return r, errs
}

// exists reports whether a field or an extension of this name exists.
func (r *Redactor) exists(field protoreflect.FullName) bool {
	if r.types == nil {
		return true // WithTypes has reported it
	}
	m, err := r.types.FindMessageByName(field.Parent())
	if err == nil && m.Descriptor().Fields().ByName(field.Name()) != nil {
		return true
	}
	_, err = r.types.FindExtensionByName(field)
	return err == nil
}

// Text returns a message as JSON.
func (r *Redactor) Text(msg proto.Message) string {
	w := writer{Redactor: r}
	w.message(msg.ProtoReflect())
	return w.text()
}

// Value returns the value of a field as JSON, and whether the limit has cut it. Texts, and scalar values that
// JSON has in quotes, have none.
func (r *Redactor) Value(f protoreflect.FieldDescriptor, v protoreflect.Value) (text string, cut bool) {
	scalar := f.Cardinality() != protoreflect.Repeated && f.Message() == nil
	switch {
	case r.hides(f):
		return Text, false
	case scalar && f.Kind() == protoreflect.StringKind:
		return logtext.Cut(v.String(), r.limit), len(v.String()) > r.limit
	}
	w := writer{Redactor: r}
	w.ofField(f, v)
	if n := len(w.buf); scalar && n > 1 && w.buf[0] == '"' && w.buf[n-1] == '"' {
		w.buf = w.buf[1 : n-1] // a number of 64 bits, bytes or the name of an enum's value
	}
	return w.text(), w.full()
}

// Hides reports whether a field is secret.
func (r *Redactor) Hides(f protoreflect.FieldDescriptor) bool { return r.hides(f) }

func (w *writer) text() string {
	if len(w.buf) > w.limit {
		return logtext.Cut(string(w.buf), w.limit)
	}
	return logtext.Clean(string(w.buf))
}

// jsonName returns the name of a field in JSON.
func jsonName(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		if word != "" && 'a' <= word[0] && word[0] <= 'z' {
			words[i+1] = string(word[0]-'a'+'A') + word[1:]
		}
	}
	return strings.Join(words, "")
}

// hides reports whether a field is secret.
func (r *Redactor) hides(f protoreflect.FieldDescriptor) bool {
	options := f.Options()
	return isMarked(options, markOfField) || r.names[string(f.Name())] || r.names[f.JSONName()] ||
		r.paths[f.FullName()] || r.isAnnotated(options)
}

// hidesAny reports whether one of a message's fields is secret.
func (r *Redactor) hidesAny(fields protoreflect.FieldDescriptors) bool {
	for i := range fields.Len() {
		if r.hides(fields.Get(i)) {
			return true
		}
	}
	return false
}

// The field numbers of debug_redact in the options of fields and of enum values.
const (
	markOfField = 16
	markOfValue = 3
)

// isMarked reports whether the option debug_redact is set. The options of descriptors that
// were made at run time may have another type.
func isMarked(options proto.Message, mark protoreflect.FieldNumber) bool {
	switch options := options.(type) {
	case nil:
		return false
	case *descriptorpb.FieldOptions:
		return options.GetDebugRedact()
	case *descriptorpb.EnumValueOptions:
		return options.GetDebugRedact()
	}
	m := options.ProtoReflect()
	f := m.Descriptor().Fields().ByNumber(mark)
	return f != nil && f.Kind() == protoreflect.BoolKind && m.Get(f).Bool()
}
