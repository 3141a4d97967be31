package policydoc

import (
	"bytes"
	"encoding/json"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// Words of JSON Schema.
const (
	isConst    = "const"
	isObject   = "object"
	isArray    = "array"
	isString   = "string"
	additional = "additionalProperties"
	allOf      = "allOf"
	anyOf      = "anyOf"

	keyDescription = "description"
	keyProperties  = "properties"
	keyRequired    = "required"
	keyItems       = "items"
)

// object is an object of JSON.
type object = map[string]any

// Source is what the schema and the reference are made of.
type Source struct {
	File     *shape.Shape
	Catalog  *catalog.Catalog
	Comments *Comments

	defs object
	err  error
}

// ID is the name of the schema.
const ID = "https://raw.githubusercontent.com/hauberk-rpc/hauberk/main/policy/schema.json"

// Schema returns the JSON Schema, draft 2020-12.
func (s *Source) Schema() ([]byte, error) {
	s.defs = make(object)
	properties := s.properties(s.File)
	properties["version"] = object{isConst: 1, keyDescription: "The version of the format."}
	properties["server"] = s.entries(hauberk.ServerSide, "The chain for incoming calls, outermost first.")
	properties["client"] = s.entries(hauberk.ClientSide, "The chain for outgoing calls, outermost first.")
	root := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ID,
		"title": "Policy file of Hauberk", "type": isObject, keyProperties: properties,
		keyRequired: []string{"version"}, additional: false, "$defs": s.defs,
	}
	if s.err != nil {
		return nil, s.err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(root)
	return b.Bytes(), err
}

// entries returns the schema of a list of entries.
func (s *Source) entries(side hauberk.Side, doc string) object {
	names := s.Catalog.Names(side)
	all := make([]object, 0, len(names))
	for _, name := range names {
		row, _ := s.Catalog.Row(name, side)
		all = append(all, object{
			"if":   object{keyProperties: object{"use": object{isConst: name}}, keyRequired: []string{"use"}},
			"then": object{"$ref": "#/$defs/" + s.entry(row)},
		})
	}
	list := side.String() + "_entry"
	s.defs[list] = object{
		"type": isObject, keyRequired: []string{"use"},
		keyProperties: object{"use": object{"enum": names, keyDescription: "The interceptor."}},
		allOf:         all,
	}
	return object{"type": isArray, keyItems: object{"$ref": "#/$defs/" + list}, keyDescription: doc}
}

// takenMethods describes the key methods of an entry whose interceptor has a setting of this name. In Go the methods
// are covered as well as those that .proto files mark; an entry also runs for no others.
const takenMethods = "methods are patterns of the methods that the entry runs for, and that it covers regardless of " +
	"their .proto files. It leaves all other methods alone. By default the .proto files decide."

// EntryKeys are the keys of all entries with their descriptions.
func EntryKeys() [][2]string {
	return [][2]string{
		{"use", "The interceptor. Required."},
		{"id", "Names the entry, once in a file. Its instance is kept when the file is loaded again."},
		{"methods", "Patterns of methods that the interceptor runs for, such as shop.v1.Cart/Get, shop.v1.Cart/*, " +
			"shop.v1.* or *. The default is all."},
		{"except", "Patterns of methods that the interceptor does not run for. The default is none."},
		{"mode", "enforce, shadow (decides without enforcing), or off. The default is enforce."},
	}
}

// entry adds the schema of the entries of an interceptor, and returns its name.
func (s *Source) entry(row *catalog.Row) string {
	name := "use_" + row.Use
	if row.Sides != hauberk.BothSides {
		name += map[hauberk.Sides]string{hauberk.OnlyServers: "_server", hauberk.OnlyClients: "_client"}[row.Sides]
	}
	if s.defs[name] != nil {
		return name
	}
	s.defs[name] = object{}
	properties := s.properties(row.Shape)
	docs := make(map[string]string)
	for _, pair := range EntryKeys() {
		docs[pair[0]] = pair[1]
	}
	patterns := object{anyOf: []object{
		{"type": isString}, {"type": isArray, keyItems: object{"type": isString}, "minItems": 1},
	}}
	properties["use"] = object{isConst: row.Use, keyDescription: row.Doc}
	properties["id"] = object{
		"type": isString, "pattern": `^[A-Za-z0-9._-]+$`, "maxLength": 128,
		keyDescription: docs["id"],
	}
	if row.TakesMethods() {
		docs["methods"] = takenMethods
	}
	properties["methods"] = object{allOf: []object{patterns}, keyDescription: docs["methods"]}
	properties["except"] = object{allOf: []object{patterns}, keyDescription: docs["except"]}
	properties["mode"] = object{"enum": []string{"enforce", "shadow", "off"}, keyDescription: docs["mode"]}
	def := object{
		"type": isObject, keyDescription: row.Doc, keyProperties: properties, additional: false,
		keyRequired: append([]string{"use"}, required(row.Shape)...),
	}
	s.oneKey(def, row.Shape)
	s.defs[name] = def
	return name
}

func required(sh *shape.Shape) (keys []string) {
	for _, f := range sh.Fields {
		if f.Required {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// oneKey forbids two keys of one field.
func (s *Source) oneKey(def object, sh *shape.Shape) {
	var all []object
	for _, f := range sh.Fields {
		for _, also := range f.Also {
			all = append(all, object{"not": object{keyRequired: []string{f.Key, also}}})
		}
	}
	if len(all) > 0 {
		def[allOf] = all
	}
}

// properties returns the schemas of the keys of a struct.
func (s *Source) properties(sh *shape.Shape) object {
	all := make(object)
	for _, f := range sh.Fields {
		doc, err := s.Comments.Field(f, sh)
		if err != nil {
			s.err = err
		}
		of := s.of(f.Shape)
		if f.Secret {
			of["pattern"] = shape.ReferencePattern
		}
		if doc != "" {
			if of["$ref"] != nil {
				of = object{allOf: []object{of}}
			}
			of[keyDescription] = short(doc)
		}
		for _, key := range append([]string{f.Key}, f.Also...) {
			all[key] = of
		}
	}
	return all
}

// maxDescription is the length that the descriptions of the schema have at most, unless a sentence is longer.
const maxDescription = 240

// short returns the first sentences of a comment.
func short(text string) string {
	end := 0
	for i := range len(text) - 1 {
		if text[i] == '.' && text[i+1] == ' ' && (end == 0 || i < maxDescription) {
			end = i + 1
		}
	}
	if end == 0 || len(text) <= maxDescription {
		return text
	}
	return text[:end]
}

// of returns the schema of a shape.
func (s *Source) of(sh *shape.Shape) object {
	switch sh.Kind {
	case shape.Bool:
		return object{"type": "boolean"}
	case shape.Int:
		if k := sh.Type.Kind(); k == reflect.Uint64 || k == reflect.Uint32 {
			return object{"type": "integer", "minimum": 0}
		}
		return object{"type": "integer"}
	case shape.Float:
		return object{"type": "number"}
	case shape.Text:
		return object{"type": isString}
	case shape.Duration:
		return object{anyOf: []object{{"type": isString, "pattern": shape.DurationPattern}, {isConst: 0}}}
	case shape.Rate:
		return object{"type": isString, "pattern": shape.RatePattern}
	case shape.List:
		elem := s.of(sh.Elem)
		return object{anyOf: []object{elem, {"type": isArray, keyItems: elem}}}
	case shape.Map:
		m := object{"type": isObject, additional: s.of(sh.Elem)}
		if sh.Keys.Kind == shape.Words {
			m["propertyNames"] = object{"enum": words(sh.Keys.Special)}
		}
		return m
	case shape.Struct:
		return object{"$ref": "#/$defs/" + s.structOf(sh)}
	case shape.Words:
		return object{"enum": words(sh.Special)}
	default:
		return s.special(sh)
	}
}

func words(x *shape.Special) []string {
	all := make([]string, len(x.Words))
	for i, w := range x.Words {
		all[i] = w.Text
	}
	return all
}

// special returns the schema of a type with words or another form.
func (s *Source) special(sh *shape.Shape) object {
	name := TypeName(sh)
	if s.defs[name] != nil {
		return object{"$ref": "#/$defs/" + name}
	}
	s.defs[name] = object{}
	x := sh.Special
	var forms []object
	if len(x.Words) > 0 {
		forms = append(forms, object{"enum": words(x)})
	}
	form := s.of(x.Form)
	if x.Match != "" {
		form["pattern"] = "(" + x.Match + ")|" + shape.ReferencePattern
	}
	forms = append(forms, form)
	def := object{anyOf: forms, keyDescription: x.What}
	if x.Combine != nil {
		one := object{anyOf: slices.Clone(forms)}
		def[anyOf] = append(forms, object{"type": isArray, keyItems: one, "minItems": 1})
	}
	s.defs[name] = def
	return object{"$ref": "#/$defs/" + name}
}

// structOf adds the schema of a struct, and returns its name.
func (s *Source) structOf(sh *shape.Shape) string {
	name := TypeName(sh)
	if sh.Special == nil {
		name = typeName(sh.Type)
	}
	for _, special := range s.Catalog.Types.Specials() {
		if special.Form == sh && sh.Type.Name() != "keyForm" {
			name = typeName(sh.Type) + "_map"
		}
	}
	if s.defs[name] != nil {
		return name
	}
	s.defs[name] = object{}
	doc, err := s.Comments.Type(sh.Type, sh)
	if err != nil {
		s.err = err
	}
	def := object{
		"type": isObject, keyDescription: short(doc), keyProperties: s.properties(sh), additional: false,
	}
	if keys := required(sh); len(keys) > 0 {
		def[keyRequired] = keys
	}
	if one := s.oneOf(sh); len(one) > 0 {
		def["oneOf"] = one
	}
	s.oneKey(def, sh)
	s.defs[name] = def
	return name
}

// oneOf returns the choice between keys of which a form has one.
func (s *Source) oneOf(sh *shape.Shape) (all []object) {
	for _, special := range s.Catalog.Types.Specials() {
		if special.Form == sh {
			for _, key := range special.OneOf {
				all = append(all, object{keyRequired: []string{key}})
			}
		}
	}
	return all
}

// TypeName returns the name of a shape in the schema and in the reference, such as "ratelimit.Cost".
func TypeName(sh *shape.Shape) string { return typeName(sh.Type) }

func typeName(t reflect.Type) string {
	name := t.Name()
	if short, ok := strings.CutSuffix(name, "Form"); ok {
		return short
	}
	return path.Base(t.PkgPath()) + "." + name
}
