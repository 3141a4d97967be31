package callexpr

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/common/types"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// Option adds to what an expression may use.
type Option interface {
	apply(fields map[string]field.Field) error
}

type option func(fields map[string]field.Field) error

func (f option) apply(fields map[string]field.Field) error { return f(fields) }

// WithField adds the variable fields.name: the value of a field of the first request, as text. name has
// lower-case letters, digits and "_":
//
//	callexpr.Key("storage", `identity.tenant + "/" + fields.storage`,
//		callexpr.WithField("storage", field.String("repository.storage_name")))
//
// The request is read if the expression uses the variable, as package field says. An expression fails for a
// call whose field has no value.
func WithField(name string, f field.Field) Option {
	return option(func(fields map[string]field.Field) error {
		variable := variableOf(name)
		switch {
		case !isName(name):
			return fmt.Errorf("WithField was given the name %.100q; "+
				"want lower-case letters, digits and \"_\", such as \"storage\"", name)
		case f.Err() != nil:
			return fmt.Errorf("WithField %s: %w", name, f.Err())
		default:
			if _, twice := fields[variable]; twice {
				return fmt.Errorf("WithField was given the name %q twice", name)
			}
			fields[variable] = f
			return nil
		}
	})
}

// variableOf returns the variable of the field with a name.
func variableOf(name string) string { return "fields." + name }

// isName reports whether a text can follow "fields.".
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return text != "" && !slices.Contains([]string{"in", "as", "true", "false", "null"}, text)
}

// fieldsOf returns the fields of options by their variables.
func fieldsOf(opts []Option) (map[string]field.Field, error) {
	fields := make(map[string]field.Field, len(opts))
	var errs []error
	for i, o := range opts {
		if o == nil {
			errs = append(errs, fmt.Errorf("option %d is nil", i+1))
			continue
		}
		errs = append(errs, o.apply(fields))
	}
	return fields, errors.Join(errs...)
}

// use keeps the fields that the expression uses.
func (e *expression) use(fields map[string]field.Field, used map[string]bool) {
	for variable, f := range fields {
		if !used[variable] {
			continue
		}
		if e.fields == nil {
			e.fields = make(map[string]field.Field)
		}
		e.fields[variable] = f
	}
}

// lookup returns how the variables of fields are read, or nil if there are none.
func (e *expression) lookup() func(v *callcel.Variables, name string) (any, bool) {
	if e.fields == nil {
		return nil
	}
	return func(v *callcel.Variables, name string) (any, bool) {
		f, ok := e.fields[name]
		if !ok {
			return nil, false
		}
		value, ok := f.Of(v.Ctx, v.Call)
		return types.String(value), ok
	}
}

// request is an expression that reads fields, as a callkey.Request of calls.
type request struct{ *expression }

// Of returns the key of a call.
func (r request) Of(ctx context.Context, call *hauberk.Call) (key string, ok bool) {
	return r.key(ctx, call)
}

// OfMessage returns none, since the expression is for calls.
func (request) OfMessage(any) (value string, ok bool) { return "", false }

// Invalid returns what is wrong with the fields for methods.
func (r request) Invalid(methods []*hauberk.Method) (all []string) {
	variables := make([]string, 0, len(r.fields))
	for variable := range r.fields {
		variables = append(variables, variable)
	}
	slices.Sort(variables)
	for _, variable := range variables {
		key := r.fields[variable].Key()
		all = append(all, key.Invalid(variable, methods)...)
	}
	return all
}
