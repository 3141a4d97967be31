package yamlfile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Value is a value in a file. Its methods record what is wrong with it, and then return false.
type Value struct {
	file   *File
	node   *yaml.Node // nil in a file that cannot be read
	hidden bool
}

// Hidden returns the value without its texts in the errors of List, Text and Texts.
func (v Value) Hidden() Value {
	v.hidden = true
	return v
}

// Errorf records what is wrong with the value, unless the file cannot be read.
func (v Value) Errorf(format string, args ...any) {
	if v.node != nil {
		n := len(v.file.flaws)
		v.file.failf(max(v.node.Line, 1), max(v.node.Column, 1), format, args...)
		if len(v.file.flaws) > n {
			v.file.flaws[n].at = v
		}
	}
}

// Map calls the function of each key with the value. Other keys, and keys that are there twice, are
// errors. what is the name of the value in errors.
func (v Value) Map(what string, fields map[string]func(Value)) {
	if v.node == nil {
		return
	}
	if v.node.Kind != yaml.MappingNode {
		v.Errorf("%s is %s; want keys and values", what, v.kind())
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, value := v.at(i), v.at(i+1)
		name := key.node.Value
		read := fields[name]
		switch {
		case key.node.Kind != yaml.ScalarNode || read == nil:
			key.Errorf("%s has the unknown key %.100q; want one of %s", what, name,
				strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case seen[name]:
			key.Errorf("%s has the key %q twice", what, name)
		default:
			read(value)
		}
		seen[name] = true
	}
}

// List calls read with each element.
func (v Value) List(what string, read func(Value)) {
	if v.node == nil {
		return
	}
	if v.node.Kind != yaml.SequenceNode {
		v.Errorf("%s is %s; want a list", what, v.kind())
		return
	}
	for i := range v.node.Content {
		read(v.at(i))
	}
}

// at returns a part of a map or list.
func (v Value) at(i int) Value { return Value{v.file, v.node.Content[i], v.hidden} }

// kind describes the value.
func (v Value) kind() string {
	switch {
	case v.node.Kind == yaml.MappingNode:
		return "a map"
	case v.node.Kind == yaml.SequenceNode:
		return "a list"
	case v.node.ShortTag() == "!!null":
		return "empty"
	case v.hidden:
		return "a text"
	default:
		return strconv.Quote(v.node.Value[:min(len(v.node.Value), 100)])
	}
}

// Text returns a scalar as it is written. It is not empty.
func (v Value) Text(what string) (string, bool) {
	if v.node == nil {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode || v.node.ShortTag() == "!!null" || v.node.Value == "" {
		v.Errorf("%s is %s; want a text", what, v.kind())
		return "", false
	}
	return v.node.Value, true
}

// Int returns a whole number from least to most.
func (v Value) Int(what string, least, most int) (int, bool) {
	text, ok := v.Text(what)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		v.Errorf("%s is %.100q; want a number from %d to %d", what, text, least, most)
		return 0, false
	}
	return n, true
}

// Bool returns true or false.
func (v Value) Bool(what string) (value, ok bool) {
	text, ok := v.Text(what)
	if ok && text != "true" && text != "false" {
		v.Errorf("%s is %.100q; want true or false", what, text)
		return false, false
	}
	return text == "true", ok
}

// OneOf returns the index of the value among names.
func (v Value) OneOf(what string, names ...string) (int, bool) {
	text, ok := v.Text(what)
	if !ok {
		return 0, false
	}
	i := slices.Index(names, text)
	if i < 0 {
		v.Errorf("%s is %.100q; want one of %s", what, text, strings.Join(names, ", "))
	}
	return i, i >= 0
}

// Rate returns a number and the time that it applies to, such as "100/1m".
func (v Value) Rate(what string) (n int, per time.Duration, ok bool) {
	text, ok := v.Text(what)
	if !ok {
		return 0, 0, false
	}
	number, duration, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if err == nil {
		per, err = time.ParseDuration(duration)
	}
	if err != nil {
		v.Errorf("%s is %.100q; want a number and a time, such as 100/1m", what, text)
		return 0, 0, false
	}
	return n, per, true
}

// Duration returns a time above 0, such as "30s".
func (v Value) Duration(what string) (time.Duration, bool) {
	text, ok := v.Text(what)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		v.Errorf("%s is %.100q; want a time above 0, such as 30s", what, text)
		return 0, false
	}
	return d, true
}

// Texts returns the texts of a list.
func (v Value) Texts(what string) (all []string) {
	v.List(what, func(v Value) {
		if text, ok := v.Text(what); ok {
			all = append(all, text)
		}
	})
	return all
}
