package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// schema is which keys a JSON value has. A schema without fields and elements allows any.
type schema struct {
	fields   map[string]*schema
	elements *schema
}

// grpcSchema returns the schema of a policy of grpc-go.
func grpcSchema() *schema {
	value := new(schema)
	object := func(fields map[string]*schema) *schema { return &schema{fields: fields} }
	list := func(of *schema) *schema { return &schema{elements: of} }
	rules := list(object(map[string]*schema{
		"name":   value,
		"source": object(map[string]*schema{"principals": list(value)}),
		"request": object(map[string]*schema{
			"paths":   list(value),
			"headers": list(object(map[string]*schema{"key": value, "values": list(value)})),
		}),
	}))
	return object(map[string]*schema{
		"name": value, "deny_rules": rules, "allow_rules": rules,
		"audit_logging_options": object(map[string]*schema{
			"audit_condition": value,
			"audit_loggers": list(object(map[string]*schema{
				"name": value, "config": value, "is_optional": value,
			})),
		}),
	})
}

// jsonReader checks JSON against a schema.
type jsonReader struct {
	text []byte
	dec  *json.Decoder
}

// checkJSON reports text that is not one JSON value, unknown keys and duplicate ones (in any
// case, as encoding/json matches them).
func checkJSON(text []byte, s *schema) error {
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("%s: %w", place(text, wrong.Offset-1), err)
		}
		return err
	}
	r := jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text))}
	r.dec.UseNumber()
	return r.value(s, "")
}

func (r *jsonReader) fail(format string, args ...any) error {
	return fmt.Errorf("%s: %s", place(r.text, r.dec.InputOffset()-1), fmt.Sprintf(format, args...))
}

// value reads a value with a path.
func (r *jsonReader) value(s *schema, path string) error {
	t, err := r.dec.Token()
	if err != nil {
		return err
	}
	switch {
	case t == json.Delim('{') && s.fields != nil:
		return r.object(s, path)
	case t == json.Delim('[') && s.elements != nil:
		for i := 0; r.dec.More(); i++ {
			if err := r.value(s.elements, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		_, err = r.dec.Token()
		return err
	case t == json.Delim('{') || t == json.Delim('['):
		return r.skip()
	default:
		return nil
	}
}

func (r *jsonReader) object(s *schema, path string) error {
	seen := make(map[string]bool, len(s.fields))
	for r.dec.More() {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		folded := strings.ToLower(key)
		inner := strings.TrimPrefix(path+"."+folded, ".")
		field, ok := s.fields[folded]
		switch {
		case !ok:
			return r.fail("%.100q is not a field", inner)
		case seen[folded]:
			return r.fail("%.100q is there twice", inner)
		}
		seen[folded] = true
		if err := r.value(field, inner); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

// skip reads to the end of an object or a list that has begun.
func (r *jsonReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := r.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// jsonType is the JSON type of a Go kind.
func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	default:
		return "a string"
	}
}
