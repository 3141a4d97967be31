package fieldpath

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Field is a field of a message type, or of a message within it. Make it with [Path.Resolve]. It is
// immutable and safe for concurrent use.
type Field struct {
	steps []protoreflect.FieldDescriptor // the last one is the field
}

// Of returns a field of a message type itself.
func Of(f protoreflect.FieldDescriptor) *Field { return &Field{[]protoreflect.FieldDescriptor{f}} }

// Descriptor returns the descriptor of the field.
func (f *Field) Descriptor() protoreflect.FieldDescriptor { return f.steps[len(f.steps)-1] }

// Path returns the path of the field: "repository.storage_name".
func (f *Field) Path() string {
	names := make([]string, len(f.steps))
	for i, step := range f.steps {
		names[i] = string(step.Name())
	}
	return strings.Join(names, ".")
}

// Redacted reports whether the field, or a message around it, has the option debug_redact.
func (f *Field) Redacted() bool {
	for _, step := range f.steps {
		if o, ok := step.Options().(*descriptorpb.FieldOptions); ok && o.GetDebugRedact() {
			return true
		}
	}
	return false
}

// Value returns the value of the field in a message of the type that the path was resolved for. ok is
// false if it has none:
//
//   - a message around it is not set, or another field of its oneof is;
//   - it is not set, and has no presence: a string that is empty, a number or an enum that is 0. The
//     defaults of proto2 and editions do not count;
//   - it is an empty string, also one that is set.
//
// A bool without presence always has a value if the messages around it are set.
//
// It does not allocate for messages of generated code.
func (f *Field) Value(m protoreflect.Message) (v protoreflect.Value, ok bool) {
	for i, step := range f.steps {
		if m.Descriptor() != step.ContainingMessage() {
			if step = likewise(m.Descriptor(), step); step == nil {
				return v, false
			}
		}
		last := i == len(f.steps)-1
		if !m.Has(step) {
			if last && step.Kind() == protoreflect.BoolKind && !step.HasPresence() {
				return protoreflect.ValueOfBool(false), true
			}
			return protoreflect.Value{}, false
		}
		v = m.Get(step)
		if !last {
			m = v.Message()
		}
	}
	if f.Descriptor().Kind() == protoreflect.StringKind {
		return v, v.String() != ""
	}
	return v, true
}

// Find returns the descriptor and the value of the field in a message, or those of the first message around it for
// which stop returns true. ok is false if the message has no such field, or one of them is not set.
func (f *Field) Find(
	m protoreflect.Message, stop func(protoreflect.FieldDescriptor) bool,
) (d protoreflect.FieldDescriptor, v protoreflect.Value, ok bool) {
	for i, step := range f.steps {
		if m.Descriptor() != step.ContainingMessage() {
			if step = likewise(m.Descriptor(), step); step == nil {
				return nil, v, false
			}
		}
		if !m.Has(step) {
			return nil, v, false
		}
		if v = m.Get(step); i == len(f.steps)-1 || stop(step) {
			return step, v, true
		}
		m = v.Message()
	}
	return nil, v, false
}

// likewise returns the field of a message that is the same as a field of another descriptor of its type,
// such as that of a file that was loaded at run time. It returns nil if there is none.
func likewise(m protoreflect.MessageDescriptor, like protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	f := m.Fields().ByName(like.Name())
	if f == nil || m.FullName() != like.ContainingMessage().FullName() || f.Number() != like.Number() ||
		f.Kind() != like.Kind() || f.IsList() != like.IsList() || f.IsMap() != like.IsMap() {
		return nil
	}
	return f
}

// Text returns the value of the field as text. ok is false as in [Field.Value]. Numbers are in decimal,
// bools are "true" or "false", and enums are the names of their values, or their numbers if the descriptor
// does not have them. It does not allocate for strings, bools and enums.
func (f *Field) Text(m protoreflect.Message) (text string, ok bool) {
	v, ok := f.Value(m)
	if !ok {
		return "", false
	}
	switch d := f.Descriptor(); d.Kind() {
	case protoreflect.StringKind:
		return v.String(), true
	case protoreflect.BoolKind:
		return strconv.FormatBool(v.Bool()), true
	case protoreflect.EnumKind:
		if value := d.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name()), true
		}
		return strconv.Itoa(int(v.Enum())), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.FormatUint(v.Uint(), 10), true
	default:
		return strconv.FormatInt(v.Int(), 10), true
	}
}
