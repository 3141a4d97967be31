// Package shape describes how Go types are written in a policy file. The decoder, the JSON Schema and the
// documentation all use the same description, which is made of the types themselves:
//
//   - a struct is a map, whose keys are the names of the fields in snake case;
//   - a time.Duration is a text such as "30s", an int a number, a slice a list, a map a map;
//   - a slice is also written as its one element, without a list;
//   - a struct with the fields Limit and Per has the key limit, such as "100/1m";
//   - fields that are functions, interfaces or of foreign types are not data and have no key;
//   - some types have words, such as codes.Code ("UNAVAILABLE"), or another form: see [Special].
package shape

import (
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Kind is a way to write a value.
type Kind uint8

// The kinds.
const (
	Bool Kind = iota
	Int
	Float
	Text
	Duration
	Rate // of a field Limit, with the field Per
	List
	Map
	Struct
	Words // Special, which has words only
	Other // Special with another form
)

// Shape describes how values of a type are written.
type Shape struct {
	Kind    Kind
	Type    reflect.Type // never a pointer
	Elem    *Shape       // of List and Map
	Keys    *Shape       // of Map: Text or Words
	Fields  []*Field     // of Struct
	Special *Special     // of Words and Other
}

// Field is a key of a struct.
type Field struct {
	Key   string   // "max_keys"
	Also  []string // other keys for the same field
	Name  string   // in Go, "MaxKeys"
	Index []int
	Per   []int        // of Rate: the index of the field Per
	Owner reflect.Type // the struct that declares the field
	Shape *Shape

	Required bool // an own form says so
	Secret   bool // written as a reference only
	Hidden   bool // never in errors and explanations
	Path     bool // the name of a file, relative to that of the policy
	Pattern  bool // patterns of methods
}

// Special is how a type is written that is not written as its fields.
type Special struct {
	// What describes the value, for errors: "a key".
	What string
	// Words are texts for values.
	Words []Word
	// Form is the type of another form, or nil.
	Form *Shape
	// Make makes the value of one of Form.
	Make func(form reflect.Value) (reflect.Value, error)
	// Combine makes the value of a list of values, or is nil.
	Combine func(values []reflect.Value) reflect.Value
	// OneOf are keys of Form of which a value has exactly one.
	OneOf []string
	// Match is a regular expression for a Form that is a text, or "".
	Match string
	// Example is such a text.
	Example string
}

// Word is a text for a value.
type Word struct {
	Text  string
	Value reflect.Value
	Go    string // the name of a constant in Go, or ""
}

// Types makes the shapes of types. Make it with [NewTypes].
type Types struct {
	specials map[reflect.Type]*Special
	also     map[reflect.Type]map[string][]string // other keys by the Go name of a field
	shapes   map[reflect.Type]*Shape
}

// NewTypes returns the shapes of the basic types.
func NewTypes() *Types {
	return &Types{
		specials: make(map[reflect.Type]*Special),
		also:     make(map[reflect.Type]map[string][]string),
		shapes:   make(map[reflect.Type]*Shape),
	}
}

// Specials returns the types that are written in a special way.
func (t *Types) Specials() map[reflect.Type]*Special { return t.specials }

// Also adds another key for a field of a struct.
func (t *Types) Also(of reflect.Type, field, key string) {
	if t.also[of] == nil {
		t.also[of] = make(map[string][]string)
	}
	t.also[of][field] = append(t.also[of][field], key)
}

// AddWord adds a word for a value of a type. constant is the value's name in Go, or "".
func AddWord[T any](t *Types, text string, value T, constant string) {
	s := t.special(reflect.TypeFor[T]())
	s.Words = append(s.Words, Word{text, reflect.ValueOf(value), constant})
}

// AddForm sets another form of a type. what describes it.
func AddForm[T, F any](t *Types, what string, convert func(form F) (T, error)) *Special {
	s := t.special(reflect.TypeFor[T]())
	s.What = what
	s.Form = t.Of(reflect.TypeFor[F]())
	s.Make = func(form reflect.Value) (reflect.Value, error) {
		f, _ := reflect.TypeAssert[F](form)
		value, err := convert(f)
		return reflect.ValueOf(&value).Elem(), err
	}
	return s
}

// AddFields keeps the fields of a struct as its form, in addition to its words.
func AddFields[T any](t *Types, what string) {
	s := t.special(reflect.TypeFor[T]())
	s.What = what
	s.Form = t.structOf(reflect.TypeFor[T](), new(Shape))
	s.Make = func(form reflect.Value) (reflect.Value, error) { return form, nil }
}

func (t *Types) special(of reflect.Type) *Special {
	if t.specials[of] == nil {
		t.specials[of] = new(Special)
	}
	return t.specials[of]
}

// Of returns the shape of a type, or nil if its values are not data.
func (t *Types) Of(of reflect.Type) *Shape {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if s, known := t.shapes[of]; known {
		return s
	}
	if special := t.specials[of]; special != nil {
		return t.keep(&Shape{Kind: kindOf(special), Type: of, Special: special})
	}
	if of == reflect.TypeFor[time.Duration]() {
		return t.keep(&Shape{Kind: Duration, Type: of})
	}
	switch of.Kind() {
	case reflect.Bool:
		return t.keep(&Shape{Kind: Bool, Type: of})
	case reflect.String:
		return t.keep(&Shape{Kind: Text, Type: of})
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32:
		return t.keep(&Shape{Kind: Int, Type: of})
	case reflect.Float64:
		return t.keep(&Shape{Kind: Float, Type: of})
	case reflect.Slice, reflect.Map:
		return t.container(of)
	case reflect.Struct:
		if !strings.HasPrefix(of.PkgPath(), "github.com/hauberk-rpc/hauberk") {
			return t.keepNil(of)
		}
		return t.structOf(of, t.keep(new(Shape)).under(t, of))
	default:
		return t.keepNil(of)
	}
}

func kindOf(s *Special) Kind {
	if s.Form == nil {
		return Words
	}
	return Other
}

func (t *Types) keep(s *Shape) *Shape {
	if s.Type != nil {
		t.shapes[s.Type] = s
	}
	return s
}

// under keeps a shape that is not complete, for structs that contain themselves.
func (s *Shape) under(t *Types, of reflect.Type) *Shape {
	t.shapes[of] = s
	return s
}

func (t *Types) keepNil(of reflect.Type) *Shape {
	t.shapes[of] = nil
	return nil
}

func (t *Types) container(of reflect.Type) *Shape {
	s := &Shape{Kind: List, Type: of, Elem: t.Of(of.Elem())}
	if of.Kind() == reflect.Map {
		s.Kind, s.Keys = Map, t.Of(of.Key())
		if s.Keys == nil || s.Keys.Kind != Text && s.Keys.Kind != Words {
			return t.keepNil(of)
		}
	}
	if s.Elem == nil {
		return t.keepNil(of)
	}
	return t.keep(s)
}

// structOf fills the shape of a struct.
func (t *Types) structOf(of reflect.Type, s *Shape) *Shape {
	s.Kind, s.Type = Struct, of
	for _, f := range reflect.VisibleFields(of) {
		if field := t.field(of, f); field != nil {
			s.Fields = append(s.Fields, field)
		}
	}
	return s
}

// field returns a field of a struct, or nil if it has no key.
func (t *Types) field(of reflect.Type, f reflect.StructField) *Field {
	tag := f.Tag.Get("policy")
	if f.Anonymous || !f.IsExported() || tag == "-" || isPer(of, f) {
		return nil
	}
	field := &Field{
		Key: Snake(f.Name), Name: f.Name, Index: f.Index, Owner: owner(of, f.Index), Shape: t.Of(f.Type),
		Required: tag == "required",
	}
	if field.Shape == nil {
		return nil
	}
	field.Also = t.also[field.Owner][f.Name]
	if per, ok := of.FieldByName("Per"); ok && f.Name == "Limit" && per.Type == reflect.TypeFor[time.Duration]() {
		field.Shape, field.Per, field.Required = &Shape{Kind: Rate, Type: f.Type}, per.Index, true
	}
	field.describe(tag)
	return field
}

// isPer reports whether a field is written with the field Limit.
func isPer(of reflect.Type, f reflect.StructField) bool {
	limit, ok := of.FieldByName("Limit")
	return ok && f.Name == "Per" && f.Type == reflect.TypeFor[time.Duration]() && limit.Type.Kind() == reflect.Int
}

// describe sets what follows from the name of the field.
func (f *Field) describe(tag string) {
	switch f.Name {
	case "Password", "ClientSecret", "Token":
		f.Secret = f.Shape.Kind == Text
	case "Public", "Methods", "Except", "Exempt", "Critical", "Sheddable", "Allow", "Deny":
		f.Pattern = f.Shape.Kind == List && f.Shape.Elem.Kind == Text ||
			f.Shape.Kind == Map && f.Name == "Methods"
	}
	f.Hidden = f.Secret || f.Shape.Type.String() == "http.Header" || tag == "hidden"
	f.Path = f.Shape.Kind == Text && (strings.HasSuffix(f.Name, "File") || f.Name == "Path")
}

// owner returns the struct that declares a field.
func owner(of reflect.Type, index []int) reflect.Type {
	for _, i := range index[:len(index)-1] {
		of = of.Field(i).Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
	}
	return of
}

// Field returns the field with a key, or nil.
func (s *Shape) Field(key string) *Field {
	for _, f := range s.Fields {
		if f.Key == key || slices.Contains(f.Also, key) {
			return f
		}
	}
	return nil
}

// FieldOf returns the field with a name in Go, or nil.
func (s *Shape) FieldOf(name string) *Field {
	for _, f := range s.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// KeyNames returns the keys of a struct.
func (s *Shape) KeyNames() []string {
	all := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		all[i] = f.Key
	}
	return all
}

// odd are names that the rule of Snake does not divide well.
//
//nolint:gochecknoglobals // never written
var odd = map[string]string{"JWKSURL": "jwks_url", "OAuth2": "oauth2", "IPv4": "ipv4", "IPv6": "ipv6"}

// Snake returns a name of Go in snake case: "max_ttl" for "MaxTTL".
func Snake(name string) string {
	if known := odd[name]; known != "" {
		return known
	}
	var b strings.Builder
	runes := []rune(name)
	lower := func(i int) bool { return i < len(runes) && !unicode.IsUpper(runes[i]) }
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (lower(i-1) || lower(i+1) && i+1 < len(runes)) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
