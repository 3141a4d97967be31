package yamlfile

import (
	"iter"

	"go.yaml.in/yaml/v4"
)

// Kind is the kind of a [Value].
type Kind uint8

// The kinds. None is that of a file that cannot be read.
const (
	None Kind = iota
	Mapping
	Sequence
	Scalar
)

// Kind returns the kind of the value.
func (v Value) Kind() Kind {
	switch {
	case v.node == nil:
		return None
	case v.node.Kind == yaml.MappingNode:
		return Mapping
	case v.node.Kind == yaml.SequenceNode:
		return Sequence
	default:
		return Scalar
	}
}

// Type returns the type of a scalar as YAML resolves it: "str", "int", "float", "bool", "null" or "timestamp".
func (v Value) Type() string {
	if v.Kind() != Scalar {
		return ""
	}
	return v.node.ShortTag()[len("!!"):]
}

// Raw returns a scalar as it is written, without quotes.
func (v Value) Raw() string {
	if v.Kind() != Scalar {
		return ""
	}
	return v.node.Value
}

// Pairs returns the keys of a map with their values, in the order of the file.
func (v Value) Pairs() iter.Seq2[Value, Value] {
	return func(yield func(key, value Value) bool) {
		if v.Kind() != Mapping {
			return
		}
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if !yield(v.at(i), v.at(i+1)) {
				return
			}
		}
	}
}

// Items returns the elements of a list.
func (v Value) Items() []Value {
	if v.Kind() != Sequence {
		return nil
	}
	all := make([]Value, len(v.node.Content))
	for i := range all {
		all[i] = v.at(i)
	}
	return all
}

// Get returns the value of a key of a map, the first one if the key is there twice.
func (v Value) Get(name string) (value Value, ok bool) {
	for key, value := range v.Pairs() {
		if key.Raw() == name {
			return value, true
		}
	}
	return Value{}, false
}

// Place returns the line and the column of the value, both 1 or more.
func (v Value) Place() (line, column int) {
	if v.node == nil {
		return 1, 1
	}
	return max(v.node.Line, 1), max(v.node.Column, 1)
}

// Describe returns what the value is, for errors: "a map", "a list", "empty", or the quoted scalar.
func (v Value) Describe() string {
	if v.node == nil {
		return "empty"
	}
	return v.kind()
}

// Failed reports whether anything is wrong with the file so far.
func (v Value) Failed() bool { return v.file != nil && len(v.file.flaws) > 0 }

// Full reports whether so much is wrong with the file that more is not listed.
func (v Value) Full() bool { return v.file != nil && v.file.more > 0 }
