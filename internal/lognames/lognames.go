// Package lognames completes and checks the names of the attributes of log records.
package lognames

import (
	"log/slog"
	"reflect"
)

// Out is the name of an attribute that is left out.
const Out = "-"

// Fill replaces the empty fields of names by those of defaults, and then the fields
// that are [Out] by "". T is a struct of strings.
func Fill[T any](names *T, defaults T) {
	v, d := reflect.ValueOf(names).Elem(), reflect.ValueOf(defaults)
	for i := range v.NumField() {
		field := v.Field(i)
		if field.String() == "" {
			field.Set(d.Field(i))
		}
		if field.String() == Out {
			field.SetString("")
		}
	}
}

// Twice returns the fields of names, a struct of strings, that repeat the name of an
// earlier field or a name that every record of [log/slog] has.
func Twice[T any](names T) (fields []string) {
	seen := map[string]bool{}
	v := reflect.ValueOf(names)
	for i := range v.NumField() {
		name := v.Field(i).String()
		if name != "" && (seen[name] || ofSlog(name)) {
			fields = append(fields, v.Type().Field(i).Name)
		}
		seen[name] = true
	}
	return fields
}

// Has reports whether a record has an attribute of this name: one of names, a struct
// of strings, or one that every record of [log/slog] has.
func Has[T any](names T, name string) bool { return Set(names)[name] }

// Set returns the names of which Has reports true.
func Set[T any](names T) map[string]bool {
	set := map[string]bool{slog.TimeKey: true, slog.LevelKey: true, slog.MessageKey: true, slog.SourceKey: true}
	for _, field := range reflect.ValueOf(names).Fields() {
		if name := field.String(); name != "" {
			set[name] = true
		}
	}
	return set
}

// ofSlog reports whether every record of [log/slog] has an attribute of this name.
func ofSlog(name string) bool {
	switch name {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey:
		return true
	default:
		return false
	}
}
