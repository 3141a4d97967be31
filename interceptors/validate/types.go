package validate

import (
	"errors"
	"sync"
	"sync/atomic"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// types knows the message types whose rules are compiled. protovalidate keeps the compiled rules
// by descriptor, without a bound, and reports rules of a nested message only for a message that
// has it. types adds the bound, by replacing the validator, and finds errors at the first
// message.
type types struct {
	max     int
	except  map[protoreflect.FullName]bool
	make    func() (*generation, error)
	current atomic.Pointer[generation]
	mu      sync.Mutex // guards the replacement of current, and additions to it
}

// generation is a validator and the types that it has compiled.
type generation struct {
	validator protovalidate.Validator
	failFast  bool     // Config.FailFast
	known     sync.Map // protoreflect.MessageDescriptor → error of the compiler, or a verdict
	count     int      // guarded by types.mu
}

// verdict is the result for a message type without an error.
type verdict uint8

const (
	compiles verdict = iota
	excepted         // by Config.ExceptMessages
)

// result returns the generation and the error for what known has for a type.
func (g *generation) result(of any) (*generation, error) {
	switch of := of.(type) {
	case error:
		return g, of
	case verdict:
		if of == excepted {
			return nil, nil //nolint:nilnil // see types.of
		}
	}
	return g, nil
}

func newTypes(given protovalidate.Validator, config Config) (*types, error) {
	t := &types{max: config.MaxTypes, except: make(map[protoreflect.FullName]bool)}
	for _, name := range config.ExceptMessages {
		t.except[protoreflect.FullName(name)] = true
	}
	t.make = func() (*generation, error) {
		g := &generation{validator: given, failFast: config.FailFast}
		var err error
		if given == nil {
			g.validator, err = protovalidate.New()
		}
		return g, err
	}
	g, err := t.make()
	if err != nil {
		return nil, err
	}
	t.current.Store(g)
	return t, nil
}

// maxDetailed is the greatest size of a message, in bytes, of which all violations are found. They
// take several hundred times the memory of the message.
const maxDetailed = 8 << 10

// validate returns what is wrong with a message: all violations of a small one, else the first.
func (g *generation) validate(msg proto.Message) error {
	if g.failFast || proto.Size(msg) > maxDetailed {
		return g.first(msg)
	}
	err := g.validator.Validate(msg)
	if err == nil {
		return nil
	}
	if _, invalid := errors.AsType[*protovalidate.ValidationError](err); invalid {
		return err
	}
	return g.first(msg) // a rule that cannot be evaluated does not hide a violation before it
}

// first returns the first violation of a message.
func (g *generation) first(msg proto.Message) error {
	return g.validator.Validate(msg, protovalidate.WithFailFast())
}

// of returns the generation that has compiled the rules of a message type and of the messages in
// its fields, and what is wrong with them. The generation is nil if the type is excepted. It calls
// report for new errors; report may be nil.
func (t *types) of(
	message protoreflect.MessageDescriptor, report func(protoreflect.MessageDescriptor, error),
) (*generation, error) {
	g := t.current.Load()
	if known, ok := g.known.Load(message); ok {
		return g.result(known)
	}
	g, first, err := t.compile(message)
	if err != nil && first && report != nil {
		report(message, err) // outside of the lock: a log handler is foreign code
	}
	return g, err
}

// compile is of for a type that is not known. first reports whether no other call has compiled it
// meanwhile.
func (t *types) compile(message protoreflect.MessageDescriptor) (g *generation, first bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g = t.current.Load()
	if known, ok := g.known.Load(message); ok {
		g, err = g.result(known)
		return g, false, err
	}
	if g.count >= t.max {
		fresh, err := t.make()
		if err != nil {
			return g, true, err
		}
		g = fresh
		t.current.Store(g)
	}
	g.count++
	var known any = compiles
	if t.except[message.FullName()] {
		known = excepted
	} else if err := check(g.validator, message, make(map[protoreflect.FullName]bool)); err != nil {
		known = err
	}
	g.known.Store(message, known)
	g, err = g.result(known)
	return g, true, err
}

// check returns the errors of the compiler for the rules of a message type and those of the
// messages in its fields. It validates an empty message and each field of that by itself, so
// that a rule that fails to be evaluated does not hide the error of another.
func check(
	v protovalidate.Validator, message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool,
) error {
	if seen[message.FullName()] {
		return nil
	}
	seen[message.FullName()] = true
	empty := dynamicpb.NewMessage(message)
	errs := []error{compilation(v, empty, message)}
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		err := compilation(v, empty, field)
		errs = append(errs, err)
		if nested := messageIn(field); nested != nil && err == nil {
			errs = append(errs, check(v, nested, seen))
		}
	}
	return errors.Join(errs...)
}

// messageIn returns the type of the messages in a field, or nil.
func messageIn(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field.IsMap() {
		field = field.MapValue()
	}
	return field.Message()
}

// compilation returns the error of the compiler for the rules of one descriptor.
func compilation(v protovalidate.Validator, empty proto.Message, of protoreflect.Descriptor) error {
	err := v.Validate(empty, protovalidate.WithFilter(only{of}))
	if compiler, ok := errors.AsType[*protovalidate.CompilationError](err); ok {
		return compiler
	}
	return nil
}

// only is a filter that lets the rules of one descriptor be validated.
type only struct{ descriptor protoreflect.Descriptor }

func (o only) ShouldValidate(_ protoreflect.Message, d protoreflect.Descriptor) bool {
	return d == o.descriptor
}
