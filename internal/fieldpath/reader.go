package fieldpath

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxTypes bounds the message types that a Reader remembers, for programs that make types at run time.
const maxTypes = 1024

// Reader reads the field that the first of several paths names. Make it with [NewReader]. It is safe for
// concurrent use.
type Reader struct {
	paths []Path
	kinds Kinds

	first atomic.Pointer[known] // the type that came first, for programs with one
	types sync.Map              // protoreflect.MessageDescriptor → *known
	count atomic.Int32
}

// known is a message type, and its field, or nil if it has none.
type known struct {
	message protoreflect.MessageDescriptor
	field   *Field
}

// NewReader returns a reader of paths that end at a field of one of several types. The error has everything
// that is wrong.
func NewReader(kinds Kinds, paths ...string) (*Reader, error) {
	r := &Reader{kinds: kinds}
	var errs []error
	if len(paths) == 0 {
		errs = append(errs, errors.New(`there is no path; want at least one, such as "repository.storage_name"`))
	}
	seen := make(map[string]bool)
	for _, text := range paths {
		p, err := Parse(text)
		if seen[text] {
			err = fmt.Errorf("the path %q is there twice", text)
		}
		seen[text] = true
		errs = append(errs, err)
		r.paths = append(r.paths, p)
	}
	return r, errors.Join(errs...)
}

// NewMarkReader returns a reader of the field that has the option (hauberk.v1.key) with a name, and a text.
func NewMarkReader(name string) (*Reader, error) {
	p, err := ParseMark(name)
	return &Reader{kinds: Texts, paths: []Path{p}}, err
}

// Resolve returns the field of a message type that the first path names whose names are fields of it. If
// there is none, errors.Is finds [ErrNotFound] in the error. If that path cannot be read, the error says why.
func (r *Reader) Resolve(message protoreflect.MessageDescriptor) (*Field, error) {
	var errs []error
	for _, p := range r.paths {
		f, err := p.Resolve(message, r.kinds)
		if !errors.Is(err, ErrNotFound) {
			return f, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Unused returns the paths that are the first whose names are fields in none of several message types.
func (r *Reader) Unused(messages []protoreflect.MessageDescriptor) (unused []Path) {
	used := make(map[string]bool)
	for _, m := range messages {
		for _, p := range r.paths {
			if _, err := p.Resolve(m, r.kinds); !errors.Is(err, ErrNotFound) {
				used[p.text] = true
				break
			}
		}
	}
	for _, p := range r.paths {
		if !used[p.text] {
			unused = append(unused, p)
		}
	}
	return unused
}

// Has reports whether messages have the field: it is false for messages of other codecs than Protocol
// Buffers, and of types that no path leads to a field of.
func (r *Reader) Has(msg any) bool {
	has := false
	r.with(msg, func(protoreflect.Message, *Field) { has = true })
	return has
}

// Text returns the field of a message as text, as [Field.Text] does. ok is false for messages without
// the field as well.
func (r *Reader) Text(msg any) (text string, ok bool) {
	if m, isProto := msg.(proto.Message); isProto { // without a function, for the common case
		reflected := m.ProtoReflect()
		if f := r.fieldOf(reflected); f != nil {
			return f.Text(reflected)
		}
		return "", false
	}
	r.with(msg, func(m protoreflect.Message, f *Field) { text, ok = f.Text(m) })
	return text, ok
}

// with calls use with a message that has the field. Messages of the first API of Go may have types of fields
// that reflection does not know, and panics with: those have no field.
func (r *Reader) with(msg any, use func(m protoreflect.Message, f *Field)) {
	var m protoreflect.Message
	switch msg := msg.(type) {
	case proto.Message:
		m = msg.ProtoReflect()
	case protoadapt.MessageV1:
		defer func() { _ = recover() }()
		m = protoadapt.MessageV2Of(msg).ProtoReflect()
	default:
		return
	}
	if f := r.fieldOf(m); f != nil {
		use(m, f)
	}
}

// fieldOf returns the field of a message, or nil.
func (r *Reader) fieldOf(m protoreflect.Message) *Field {
	if m == nil {
		return nil
	}
	d := m.Descriptor()
	if k := r.first.Load(); k != nil && k.message == d {
		return k.field
	}
	if k, ok := r.types.Load(d); ok {
		if k, ok := k.(*known); ok {
			return k.field
		}
	}
	return r.learn(d).field
}

// learn finds the field of a message type, and remembers it if there is room.
func (r *Reader) learn(d protoreflect.MessageDescriptor) *known {
	k := &known{message: d}
	k.field, _ = r.Resolve(d)
	if r.count.Load() < maxTypes {
		if _, others := r.types.LoadOrStore(d, k); !others {
			r.count.Add(1)
			r.first.CompareAndSwap(nil, k)
		}
	}
	return k
}
