package redact

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// isAnnotated reports whether the options of a field have a custom option with a value of
// an enum that is marked debug_redact. descriptor.proto says that such fields are
// redacted.
func (r *Redactor) isAnnotated(options proto.Message) bool {
	if options == nil {
		return false
	}
	m := options.ProtoReflect()
	return m.IsValid() && (holdsMarked(m, true) || holdsMarked(r.unresolved(m), true))
}

// unresolved returns the options that were unknown when the descriptor was made, if the
// redactor's types know them.
func (r *Redactor) unresolved(m protoreflect.Message) protoreflect.Message {
	if len(m.GetUnknown()) == 0 {
		return m.Type().Zero()
	}
	found := m.New()
	o := proto.UnmarshalOptions{AllowPartial: true, Resolver: r.types}
	if o.Unmarshal(m.GetUnknown(), found.Interface()) != nil {
		return m.Type().Zero()
	}
	return found
}

// holdsMarked reports whether a message holds a marked value of an enum, at any depth, or
// only in its extensions.
func holdsMarked(m protoreflect.Message, onlyExtensions bool) (found bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case onlyExtensions && !f.IsExtension():
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = isMarkedValue(f.MapValue(), v)
				return !found
			})
		case f.IsList():
			for i := 0; i < v.List().Len() && !found; i++ {
				found = isMarkedValue(f, v.List().Get(i))
			}
		default:
			found = isMarkedValue(f, v)
		}
		return !found
	})
	return found
}

// isMarkedValue reports whether a single value of a field is, or holds, a marked value of
// an enum.
func isMarkedValue(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch f.Kind() {
	case protoreflect.EnumKind:
		value := f.Enum().Values().ByNumber(v.Enum())
		return value != nil && isMarked(value.Options(), markOfValue)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return holdsMarked(v.Message(), false)
	default:
		return false
	}
}
