package fieldpath

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/protooption"
	hauberkv1 "github.com/hauberk-rpc/hauberk/proto/hauberk/v1"
)

// Bounds of the search for a field with a mark.
const (
	maxMark  = 64      // bytes of a name
	maxSteps = 1 << 16 // fields in which messages are searched
)

// ParseMark returns the path to the field of a message type that has the option (hauberk.v1.key) with a name. The
// path depends on the message type.
func ParseMark(name string) (Path, error) {
	p := Path{text: fmt.Sprintf("(hauberk.v1.key) = %.100q", name), mark: name}
	if !isMark(name) {
		return p, fmt.Errorf(`the name of the option (hauberk.v1.key) is %.100q; want 1 to %d lower-case letters, `+
			`digits and "_", the first a letter, such as "storage"`, name, maxMark)
	}
	return p, nil
}

func isMark(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= maxMark
}

// marksOf returns the names that the option (hauberk.v1.key) of a field has.
func marksOf(f protoreflect.FieldDescriptor) []string {
	options := f.Options()
	if options == nil || !options.ProtoReflect().IsValid() {
		return nil
	}
	value, err := protooption.Get(options, new(descriptorpb.FieldOptions), hauberkv1.E_Key)
	names, _ := value.([]string)
	if err != nil {
		return nil
	}
	return names
}

// resolveMark finds the field of a message type that has the mark of the path.
func (p Path) resolveMark(message protoreflect.MessageDescriptor, kinds Kinds) (*Field, error) {
	s := newSearch(p.mark, message, single)
	s.find(message, nil)
	switch {
	case s.steps > maxSteps:
		return nil, fmt.Errorf("the field with the option %s is in a message type with too many messages; "+
			"want its path: field.String, Int, Bool or Enum", p.text)
	case len(s.found) == 0:
		return nil, p.notMarked(message, s)
	case len(s.found) > 1:
		return nil, fmt.Errorf("%s has two fields with the option %s, %s and %s; want one, or its path: "+
			"field.String, Int, Bool or Enum", message.FullName(), p.text, s.found[0], s.found[1])
	}
	found, err := Parse(s.found[0])
	if err == nil {
		var f *Field
		if f, err = found.Resolve(message, kinds); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("the option %s of %s: %w", p.text, message.FullName(), err)
}

// notMarked is the error for a message type that has no field with the mark.
func (p Path) notMarked(message protoreflect.MessageDescriptor, s *search) error {
	text := fmt.Sprintf("there is no field with the option %s in %s", p.text, message.FullName())
	repeated := newSearch(p.mark, message, anyField)
	repeated.find(message, nil)
	switch {
	case len(repeated.found) > 0:
		return &notFoundError{text + fmt.Sprintf(", only %s, in a repeated field", repeated.found[0]), 2}
	case len(s.others) > 0:
		return &notFoundError{text + ", which has " + strings.Join(s.others, ", "), 1}
	default:
		return &notFoundError{text + ", which has none", 0}
	}
}

// single reports whether a field leads to one message, whose type is known.
func single(f protoreflect.FieldDescriptor) bool {
	return anyField(f) && !f.IsList() && !f.IsMap()
}

// anyField reports whether a field leads to messages whose type is known.
func anyField(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() != anyMessage
}

// search finds the fields with a mark in a message type.
type search struct {
	mark   string
	enter  func(f protoreflect.FieldDescriptor) bool // whether the message of a field is searched
	marked map[protoreflect.MessageDescriptor][]protoreflect.FieldDescriptor
	leads  map[protoreflect.MessageDescriptor]bool // whether there is a field with the mark, at any depth
	others []string                                // further marks, each once

	found []string // at most two paths
	steps int
}

// newSearch looks at each message type that a message type leads to, once.
func newSearch(
	mark string, message protoreflect.MessageDescriptor, enter func(f protoreflect.FieldDescriptor) bool,
) *search {
	s := &search{
		mark: mark, enter: enter, leads: make(map[protoreflect.MessageDescriptor]bool),
		marked: make(map[protoreflect.MessageDescriptor][]protoreflect.FieldDescriptor),
	}
	from := make(map[protoreflect.MessageDescriptor][]protoreflect.MessageDescriptor) // the types that lead to one
	seen := map[protoreflect.MessageDescriptor]bool{message: true}
	var ends []protoreflect.MessageDescriptor
	for waiting := []protoreflect.MessageDescriptor{message}; len(waiting) > 0; {
		m := waiting[0]
		waiting = waiting[1:]
		if s.look(m) {
			ends = append(ends, m)
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if !enter(f) {
				continue
			}
			to := f.Message()
			if from[to] = append(from[to], m); !seen[to] {
				seen[to] = true
				waiting = append(waiting, to)
			}
		}
	}
	for len(ends) > 0 { // from the marks back to the message type
		m := ends[0]
		ends = ends[1:]
		if !s.leads[m] {
			s.leads[m] = true
			if m != message { // no path leads through the message type itself
				ends = append(ends, from[m]...)
			}
		}
	}
	slices.Sort(s.others)
	return s
}

// look notes the marks of the fields of a message type, and reports whether one is that which is searched.
func (s *search) look(m protoreflect.MessageDescriptor) (found bool) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		for _, mark := range marksOf(f) {
			switch {
			case mark == s.mark && !slices.Contains(s.marked[m], f):
				s.marked[m] = append(s.marked[m], f)
				found = true
			case mark != s.mark && !slices.Contains(s.others, mark):
				s.others = append(s.others, mark)
			}
		}
	}
	return found
}

// find adds the paths to the fields with the mark in a message type, which the fields of at lead to. A message type
// within itself is not searched again.
func (s *search) find(m protoreflect.MessageDescriptor, at []protoreflect.FieldDescriptor) {
	for _, f := range s.marked[m] {
		s.found = append(s.found, (&Field{append(slices.Clip(at), f)}).Path())
	}
	if len(at) == MaxDepth-1 {
		return
	}
	for i := 0; i < m.Fields().Len() && len(s.found) < 2 && s.steps <= maxSteps; i++ {
		f := m.Fields().Get(i)
		s.steps++
		if !s.enter(f) || !s.leads[f.Message()] || isAround(f.Message(), m, at) {
			continue
		}
		s.find(f.Message(), append(slices.Clip(at), f))
	}
}

// isAround reports whether a message type is m, or one that the fields of at are in.
func isAround(message, m protoreflect.MessageDescriptor, at []protoreflect.FieldDescriptor) bool {
	return message == m || slices.ContainsFunc(at, func(f protoreflect.FieldDescriptor) bool {
		return f.ContainingMessage() == message
	})
}
