package redact

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of the cost of a message.
const (
	maxDepth  = 64       // of messages in messages
	maxSorted = 1000     // entries of a map that is sorted; larger maps are written in random order
	maxParsed = 64 << 10 // bytes of an Any, or of a message that protojson writes
)

// writer writes a message as protobuf JSON. It writes nothing more when it has passed the
// limit.
type writer struct {
	*Redactor

	buf   []byte
	depth int
}

func (w *writer) full() bool { return len(w.buf) > w.limit }

// raw appends a text without quotes.
func (w *writer) raw(text string) {
	if !w.full() {
		w.buf = append(w.buf, text...)
	}
}

// quote appends the part of a string that fits into the limit.
func (w *writer) quote(text string) {
	if !w.full() {
		w.buf = AppendQuoted(w.buf, text[:min(len(text), w.limit-len(w.buf)+1)])
	}
}

// list writes the elements of an object or of an array between brackets.
type list struct {
	*writer

	next  string // the text before the next element
	close string
}

func (w *writer) open(brackets string) *list {
	return &list{w, brackets[:1], brackets[1:]}
}

func (l *list) element() {
	l.raw(l.next)
	l.next = ","
}

func (l *list) member(name string) {
	l.element()
	l.quote(name)
	l.raw(":")
}

func (l *list) end() {
	if l.next != "," {
		l.raw(l.next) // there is no element
	}
	l.raw(l.close)
}

func (w *writer) message(m protoreflect.Message) {
	if w.full() {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	switch {
	case w.depth > maxDepth:
		w.quote("[too deep]")
	case !w.wellKnown(m):
		l := w.open("{}")
		w.fields(l, m)
		l.end()
	}
}

// fields writes the fields that are set in their order, and then the extensions.
func (w *writer) fields(l *list, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := 0; i < fields.Len() && !w.full(); i++ {
		if f := fields.Get(i); m.Has(f) {
			w.field(l, f, m.Get(f))
		}
	}
	if m.Descriptor().ExtensionRanges().Len() > 0 {
		for _, f := range extensions(m) {
			w.field(l, f, m.Get(f))
		}
	}
}

func extensions(m protoreflect.Message) []protoreflect.FieldDescriptor {
	var list []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if f.IsExtension() {
			list = append(list, f)
		}
		return true
	})
	slices.SortFunc(list, func(a, b protoreflect.FieldDescriptor) int {
		return cmp.Compare(a.FullName(), b.FullName())
	})
	return list
}

func (w *writer) field(l *list, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	l.member(f.JSONName())
	w.ofField(f, v)
}

// ofField writes the value of a field.
func (w *writer) ofField(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case w.hides(f):
		w.quote(Text)
	case f.IsMap():
		w.entries(f.MapValue(), v.Map())
	case f.IsList():
		w.elements(f, v.List())
	default:
		w.value(f, v)
	}
}

func (w *writer) elements(f protoreflect.FieldDescriptor, v protoreflect.List) {
	l := w.open("[]")
	for i := 0; i < v.Len() && !w.full(); i++ {
		l.element()
		w.value(f, v.Get(i))
	}
	l.end()
}

// entries writes a map. Its keys count as names of fields.
func (w *writer) entries(f protoreflect.FieldDescriptor, v protoreflect.Map) {
	if w.paths[f.ContainingMessage().Fields().ByNumber(1).FullName()] {
		w.quote(Text)
		return
	}
	l := w.open("{}")
	for _, k := range keys(v, w.limit) {
		if w.full() {
			break
		}
		name := k.String()
		l.member(name)
		if w.names[name] || w.hides(f) {
			w.quote(Text)
		} else {
			w.value(f, v.Get(k))
		}
	}
	l.end()
}

// keys returns the keys of a map, or slightly more than fit into the limit.
func keys(v protoreflect.Map, limit int) []protoreflect.MapKey {
	list := make([]protoreflect.MapKey, 0, min(v.Len(), limit+1))
	v.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		list = append(list, k)
		return len(list) <= limit
	})
	if len(list) <= maxSorted {
		slices.SortFunc(list, func(a, b protoreflect.MapKey) int { return cmp.Compare(a.String(), b.String()) })
	}
	return list
}
