package logging

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// redacted replaces values that are not logged.
const redacted = "[redacted]"

// Types finds types by their names. protoregistry.GlobalTypes finds those whose generated
// code the program imports.
type Types interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

//nolint:gochecknoglobals // never written
var linkedTypes Types = protoregistry.GlobalTypes

// redactor writes messages as JSON without secrets.
type redactor struct {
	names map[string]bool                // of fields in any message
	paths map[protoreflect.FullName]bool // of fields
	types Types
	limit int // in bytes
}

func (x *Interceptor) newRedactor(c Payloads) redactor {
	r := redactor{
		names: make(map[string]bool), paths: make(map[protoreflect.FullName]bool),
		types: x.types, limit: x.maxBytes(c.MaxBytes, "Config.Payloads.MaxBytes"),
	}
	for _, name := range c.Redact {
		full := protoreflect.FullName(name)
		switch {
		case !full.IsValid():
			x.failf("Config.Payloads.Redact has %q; "+
				"want a field's full name, \"shop.v1.Card.number\", or its plain one", name)
		case full.Parent() == "":
			r.names[name] = true
			r.names[jsonName(name)] = true
		case !r.exists(full):
			x.failf("Config.Payloads.Redact has %q, which is not a field of a known message; "+
				"import its generated code, or see WithTypes", name)
		default:
			r.paths[full] = true
		}
	}
	return r
}

func (x *Interceptor) maxBytes(n int, at string) int {
	if n < 0 {
		x.failf("%s is %d; want a number of bytes, or 0 for %d", at, n, DefaultMaxBytes)
	}
	if n == 0 {
		return DefaultMaxBytes
	}
	return n
}

// exists reports whether a field or an extension of this name exists.
func (r *redactor) exists(field protoreflect.FullName) bool {
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

// text returns a message as JSON.
func (r *redactor) text(msg proto.Message) string {
	w := writer{redactor: r}
	w.message(msg.ProtoReflect())
	if len(w.buf) > r.limit {
		return logtext.Cut(string(w.buf), r.limit)
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
func (r *redactor) hides(f protoreflect.FieldDescriptor) bool {
	options := f.Options()
	return isMarked(options, markOfField) || r.names[string(f.Name())] || r.names[f.JSONName()] ||
		r.paths[f.FullName()] || r.isAnnotated(options)
}

// hidesAny reports whether one of a message's fields is secret.
func (r *redactor) hidesAny(fields protoreflect.FieldDescriptors) bool {
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
