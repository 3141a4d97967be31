// Package jsonobject parses JSON objects that decide on security, for packages that link the standard
// library only. Package authnjwt uses the parser of go-jose, which it links anyway.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Why a text is no object.
var (
	errUTF8  = errors.New("is not UTF-8")
	errJSON  = errors.New("is not a JSON object")
	errTwice = errors.New("has a member twice")
)

// Parse parses a JSON object. Names of members are compared as they are, unlike those of struct tags,
// for which encoding/json ignores case. A member that occurs twice at any depth is an error, since
// parsers differ in which one counts (RFC 8259, 4). So is nesting deeper than depth. Errors do not
// quote the text.
func Parse(data []byte, depth int) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errUTF8
	}
	p := parser{json.NewDecoder(bytes.NewReader(data)), depth}
	value, err := p.value(0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if _, err := p.Token(); !ok || !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return object, nil
}

type parser struct {
	*json.Decoder

	depth int
}

// value parses the next value.
func (p parser) value(level int) (any, error) {
	token, err := p.Token()
	if err != nil {
		return nil, errJSON
	}
	delim, ok := token.(json.Delim)
	switch {
	case !ok:
		return token, nil
	case level >= p.depth:
		return nil, fmt.Errorf("is nested more than %d levels deep", p.depth)
	case delim == '[':
		return p.list(level + 1)
	default:
		return p.object(level + 1)
	}
}

func (p parser) list(level int) (any, error) {
	list := []any{}
	for p.More() {
		value, err := p.value(level)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, p.end()
}

func (p parser) object(level int) (any, error) {
	object := make(map[string]any)
	for p.More() {
		token, err := p.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errJSON
		}
		if _, twice := object[name]; twice {
			return nil, errTwice
		}
		if object[name], err = p.value(level); err != nil {
			return nil, err
		}
	}
	return object, p.end()
}

// end reads the end of a list or an object.
func (p parser) end() error {
	if _, err := p.Token(); err != nil {
		return errJSON
	}
	return nil
}
