package fieldpath

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	similar "github.com/hauberk-rpc/hauberk/internal/nearest"
)

// Bounds of a path.
const (
	MaxLength = 256 // in bytes
	MaxDepth  = 16  // in names
)

// Path is a path of field names that has the right form. Make it with [Parse] or [ParseMark].
type Path struct {
	text  string
	names []protoreflect.Name
	mark  string // in place of the names
}

// Parse parses a path: names of fields as in the .proto file, with dots between them.
func Parse(text string) (Path, error) {
	const want = `want names of fields, such as "repository.storage_name"`
	switch {
	case text == "":
		return Path{}, errors.New("the path is empty; " + want)
	case len(text) > MaxLength:
		return Path{}, fmt.Errorf("the path %.60q... has %d bytes; want at most %d", text, len(text), MaxLength)
	case strings.ContainsAny(text, "[]"):
		return Path{}, fmt.Errorf("the path %q names an entry or an extension; %s", text, want)
	}
	var names []protoreflect.Name
	for part := range strings.SplitSeq(text, ".") {
		name := protoreflect.Name(part)
		if !name.IsValid() {
			return Path{}, fmt.Errorf("the path %q has %q as a name; %s", text, part, want)
		}
		names = append(names, name)
	}
	if len(names) > MaxDepth {
		return Path{}, fmt.Errorf("the path %q has %d names; want at most %d", text, len(names), MaxDepth)
	}
	return Path{text: text, names: names}, nil
}

// String returns the text of the path, or the option with the name.
func (p Path) String() string { return p.text }

// Kinds are types of fields. They can be combined with "|".
type Kinds uint8

// The types.
const (
	String Kinds = 1 << iota // string
	Int                      // every integer type
	Bool                     // bool
	Enum                     // every enum

	Texts = String | Int | Bool | Enum // all that have a text

	// Whole is every field: also messages, lists and maps, as a whole.
	Whole Kinds = 1 << 7
)

// String returns the types as text, such as "string or enum".
func (k Kinds) String() string {
	if k&Whole != 0 {
		return "any field"
	}
	var names []string
	for i, name := range []string{"string", "integer", "bool", "enum"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// kindOf returns the type of a field, or 0 for the others.
func kindOf(f protoreflect.FieldDescriptor) Kinds {
	switch f.Kind() {
	case protoreflect.StringKind:
		return String
	case protoreflect.BoolKind:
		return Bool
	case protoreflect.EnumKind:
		return Enum
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return Int
	default:
		return 0
	}
}

// ErrNotFound is the error of a path whose names are not all fields. errors.Is finds it.
var ErrNotFound = errors.New("there is no such field")

// anyMessage is the message type whose content has another type each time.
const anyMessage = "google.protobuf.Any"

// Resolve finds the field of a message type that the path names. The error says which part of the path is
// wrong, and what would be right.
func (p Path) Resolve(message protoreflect.MessageDescriptor, kinds Kinds) (*Field, error) {
	switch {
	case p.mark != "":
		return p.resolveMark(message, kinds)
	case len(p.names) == 0:
		return nil, errors.New("the path is empty")
	}
	f := &Field{steps: make([]protoreflect.FieldDescriptor, 0, len(p.names))}
	in := message
	for i, name := range p.names {
		if i > 0 && in.FullName() == anyMessage {
			return nil, fmt.Errorf("the path %q leads into %s, a %s, whose type is known at run time only; "+
				"want a field outside of it", p.text, p.upTo(i), anyMessage)
		}
		step := in.Fields().ByName(name)
		if step == nil {
			return nil, p.notFound(in, i)
		}
		if err := p.checkStep(step, i, kinds); err != nil {
			return nil, err
		}
		f.steps = append(f.steps, step)
		in = step.Message()
	}
	return f, nil
}

// upTo returns the first n names of the path.
func (p Path) upTo(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = string(p.names[i])
	}
	return strings.Join(names, ".")
}

// checkStep returns what is wrong with the field that is name i of the path.
func (p Path) checkStep(f protoreflect.FieldDescriptor, i int, kinds Kinds) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("the path %q "+format, append([]any{p.text}, args...)...)
	}
	at, last := p.upTo(i+1), i == len(p.names)-1
	switch {
	case last && kinds&Whole != 0:
		return nil
	case f.IsMap():
		return fail("leads to %s, a map; want a field with one value", at)
	case f.IsList():
		return fail("leads to %s, a repeated field; want a field with one value", at)
	case last && f.Message() != nil:
		return fail("ends at %s, a message of type %s; want %s%s", at, f.Message().FullName(), kinds, within(f, kinds))
	case last && kindOf(f)&kinds == 0:
		return fail("ends at %s, which is %s; want %s", at, f.Kind(), kinds)
	case !last && f.Message() == nil:
		return fail("continues after %s, which is %s and no message", at, f.Kind())
	default:
		return nil
	}
}

// within names the fields of a message that a path could end at, as a hint.
func within(f protoreflect.FieldDescriptor, kinds Kinds) string {
	fields := f.Message().Fields()
	var names []string
	for i := range fields.Len() {
		sub := fields.Get(i)
		if !sub.IsList() && !sub.IsMap() && kindOf(sub)&kinds != 0 {
			names = append(names, string(f.Name())+"."+string(sub.Name()))
		}
	}
	if len(names) == 0 || f.Message().FullName() == anyMessage {
		return ""
	}
	const most = 3
	return ", such as " + strings.Join(names[:min(len(names), most)], " or ")
}

// notFound is the error for name i, which is no field of a message.
func (p Path) notFound(in protoreflect.MessageDescriptor, i int) error {
	name, hint, away := p.names[i], "which has no fields", MaxLength
	if o := in.Oneofs().ByName(name); o != nil && !o.IsSynthetic() {
		hint = fmt.Sprintf("where it is a oneof; want one of its fields, such as %s", o.Fields().Get(0).Name())
	} else if near, d := nearest(in, string(name)); near != "" {
		hint, away = fmt.Sprintf("which has %s", near), d
	}
	text := fmt.Sprintf("the path %q: there is no field %s in %s, %s", p.text, name, in.FullName(), hint)
	return &notFoundError{text, (i+1)*2*MaxLength - away}
}

// notFoundError is an ErrNotFound. fitness orders the errors of a path for several message types: it is greatest for
// the type that has most of the names, and then the name that is most like the wrong one.
type notFoundError struct {
	text    string
	fitness int
}

// Method is a method with the type of its requests.
type Method struct {
	Name    string // such as "shop.v1.Cart/Get"
	Request protoreflect.MessageDescriptor
}

// Missing returns why none of the requests of methods has the field, by the one that is most like it, or false if
// one has the names of the path.
func (p Path) Missing(methods []Method, kinds Kinds) (why string, missing bool) {
	best := -1
	for _, m := range methods {
		_, err := p.Resolve(m.Request, kinds)
		var none *notFoundError
		if !errors.As(err, &none) {
			return "", false
		}
		if none.fitness > best {
			best, why = none.fitness, "no request has the field: "+m.Name+": "+none.text
		}
	}
	return why, true
}

func (e *notFoundError) Error() string { return e.text }

func (*notFoundError) Is(target error) bool { return target == ErrNotFound }

// nearest returns the name of the field that is most like a name, and how unlike it is. The name is "" if there
// is no field.
func nearest(m protoreflect.MessageDescriptor, name string) (best string, least int) {
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		candidate := string(f.Name())
		if f.JSONName() == name { // as in JSON, with capital letters
			return candidate, 0
		}
		d := similar.Unlike(name, candidate)
		if best == "" || d < least {
			best, least = candidate, d
		}
	}
	return best, least
}
