package transform

import (
	"reflect"

	"google.golang.org/protobuf/proto"
)

// clone returns a copy of msg that a Func can modify. A message that is not protobuf is
// copied deeply, except for what only its own package can copy: unexported fields are
// copied by assignment, and a pointer to a struct with unexported fields, such as a
// reference-counted buffer, stays the same pointer.
func clone[T any](msg T) T {
	v := reflect.ValueOf(msg)
	switch m := any(msg).(type) {
	case proto.Message:
		return any(proto.Clone(m)).(T)
	default:
		if v.Kind() != reflect.Pointer || v.IsNil() {
			return copier{}.value(v).Interface().(T)
		}
		return copier{}.pointee(v).Interface().(T)
	}
}

// copier copies values of a message that is not protobuf. It maps each pointer to its
// copy, so that it can copy a message that refers to itself.
type copier map[reference]reflect.Value

type reference struct {
	address uintptr
	typ     reflect.Type
}

func referenceOf(v reflect.Value) reference { return reference{v.Pointer(), v.Type()} }

func (c copier) value(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return v
		}
	default:
	}
	switch v.Kind() {
	case reflect.Pointer:
		return c.pointer(v)
	case reflect.Interface:
		out := reflect.New(v.Type()).Elem()
		out.Set(c.value(v.Elem()))
		return out
	case reflect.Slice:
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		c.elements(out, v)
		return out
	case reflect.Array:
		out := reflect.New(v.Type()).Elem()
		c.elements(out, v)
		return out
	case reflect.Map:
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entry := v.MapRange(); entry.Next(); {
			out.SetMapIndex(entry.Key(), c.value(entry.Value()))
		}
		return out
	case reflect.Struct:
		return c.fields(v)
	default:
		return v
	}
}

func (c copier) pointer(v reflect.Value) reflect.Value {
	if m, ok := reflect.TypeAssert[proto.Message](v); ok {
		return reflect.ValueOf(proto.Clone(m))
	}
	if out, ok := c[referenceOf(v)]; ok {
		return out
	}
	if opaque(v.Type().Elem()) {
		return v
	}
	return c.pointee(v)
}

// opaque reports whether a type is a struct with unexported fields.
func opaque(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for f := range t.Fields() {
		if !f.IsExported() {
			return true
		}
	}
	return false
}

// pointee returns a pointer to a copy of what v points to.
func (c copier) pointee(v reflect.Value) reflect.Value {
	memory := reflect.New(v.Type().Elem())
	out := memory.Convert(v.Type()) // which may be a defined type
	c[referenceOf(v)] = out
	memory.Elem().Set(c.value(v.Elem()))
	return out
}

func (c copier) elements(out, v reflect.Value) {
	switch v.Type().Elem().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		for i := range v.Len() {
			out.Index(i).Set(c.value(v.Index(i)))
		}
	default:
		reflect.Copy(out, v)
	}
}

// fields returns a copy of a struct. It copies unexported fields by assignment.
func (c copier) fields(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			out.Field(i).Set(c.value(v.Field(i)))
		}
	}
	return out
}
