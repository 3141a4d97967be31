package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// request is a Request with parsed patterns and paths.
type request struct {
	Request

	methods pattern.Set
	paths   [][]protoreflect.Name                                      // as Fields
	found   methodtable.Cache[protoreflect.MessageDescriptor, []field] // by the type of the request
}

// field is a path that a type of messages has.
type field struct {
	path string
	at   []protoreflect.FieldDescriptor
}

func newRequests(list []Request, maxFields int) (all []*request, err error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, r := range list {
		at := fmt.Sprintf("Requests[%d]", i)
		if len(r.Methods) == 0 {
			fail(`%s has no Methods; want patterns such as "shop.v1.Cart/*"`, at)
		}
		if r.All == (len(r.Fields) > 0) {
			fail("%s has All %t and %d Fields; want one of them", at, r.All, len(r.Fields))
		}
		if len(r.Fields) > maxFields {
			fail("%s has %d Fields; want at most MaxFields, %d", at, len(r.Fields), maxFields)
		}
		made := &request{Request: r}
		methods, bad := pattern.ParseAll(r.Methods)
		for _, text := range bad {
			fail("%s.Methods has %q; %s", at, text, pattern.Want)
		}
		made.methods = methods
		for j, path := range r.Fields {
			names, ok := split(path)
			switch {
			case !ok:
				fail(`%s.Fields has %q; want names of fields with dots between them: "order.customer_id"`, at, path)
			case slices.Contains(r.Fields[:j], path):
				fail("%s.Fields has %q twice", at, path)
			}
			made.paths = append(made.paths, names)
		}
		all = append(all, made)
	}
	return all, errors.Join(errs...)
}

// split returns the names in a path.
func split(path string) (names []protoreflect.Name, ok bool) {
	if len(path) > maxName {
		return nil, false
	}
	for name := range strings.SplitSeq(path, ".") {
		names = append(names, protoreflect.Name(name))
	}
	return names, !slices.ContainsFunc(names, func(n protoreflect.Name) bool { return !n.IsValid() })
}

// resolve returns the fields of a path in a type of messages, if it has them.
func resolve(m protoreflect.MessageDescriptor, path []protoreflect.Name) (at []protoreflect.FieldDescriptor, ok bool) {
	for i, name := range path {
		if m == nil {
			return nil, false // the field before is no message
		}
		f := m.Fields().ByName(name)
		if f == nil || i < len(path)-1 && f.Cardinality() == protoreflect.Repeated {
			return nil, false
		}
		at, m = append(at, f), f.Message()
	}
	return at, true
}

// requestOf returns what is recorded of the requests of a method, or nil.
func (x *Interceptor) requestOf(m *hauberk.Method) *request {
	if i := x.requestFor(m.Service(), m.Name()); i >= 0 {
		return x.requests[i]
	}
	return nil
}

// requestFor returns the index of the first element of Config.Requests that names a method, or -1.
func (x *Interceptor) requestFor(service, name string) int {
	return slices.IndexFunc(x.requests, func(r *request) bool { return r.methods.Matches(service, name) })
}

// settings returns the settings for a method, for hauberk.Chain.Explain.
func (x *Interceptor) settings(method string) []hauberk.Setting {
	all := []hauberk.Setting{
		{Name: "failure mode", Value: "fail closed", Source: "audit.Config.BestEffort"},
		{Name: "record at the start", Value: x.config.Start.String(), Source: "audit.Config.Start"},
	}
	if x.config.BestEffort {
		all[0].Value = "best effort"
	}
	service, name, _ := strings.Cut(method, "/")
	if i := x.requestFor(service, name); i >= 0 {
		value := "all"
		if r := x.requests[i]; !r.All {
			value = strings.Join(r.Fields, ", ")
		}
		source := fmt.Sprintf("audit.Config.Requests[%d]", i)
		all = append(all, hauberk.Setting{Name: "request fields", Value: value, Source: source})
	}
	return all
}

// unmatched returns which patterns match none of the methods, and which paths none of their requests has.
func (x *Interceptor) unmatched(methods []*hauberk.Method) (all []string) {
	index := pattern.IndexOf(methods)
	for i, r := range x.requests {
		setting := fmt.Sprintf("audit.Config.Requests[%d]", i)
		missing := index.Unmatched(setting+".Methods", r.methods)
		if all = append(all, missing...); len(missing) < len(r.methods) {
			all = append(all, x.unmatchedFields(setting, r, methods)...)
		}
	}
	return all
}

func (x *Interceptor) unmatchedFields(setting string, r *request, methods []*hauberk.Method) (all []string) {
	for i, path := range r.Fields {
		if !slices.ContainsFunc(methods, func(m *hauberk.Method) bool {
			if x.requestOf(m) != r {
				return false
			}
			d := m.Descriptor()
			if d == nil {
				return true // the type of the request is not known
			}
			_, ok := resolve(d.Input(), r.paths[i])
			return ok
		}) {
			all = append(all, fmt.Sprintf("%s.Fields(%q)", setting, path))
		}
	}
	return all
}

// fieldsOf returns the fields that are recorded of messages of a type.
func (r *request) fieldsOf(m protoreflect.MessageDescriptor) []field {
	if found, ok := r.found.Get(m); ok {
		return found
	}
	var found []field
	for i, path := range r.paths {
		if at, ok := resolve(m, path); ok {
			found = append(found, field{r.Fields[i], at})
		}
	}
	if r.All {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			found = append(found, field{string(f.Name()), []protoreflect.FieldDescriptor{f}})
		}
	}
	return r.found.Keep(m, found)
}

// values returns the values of at most limit fields of a request that are set. cut reports whether a bound has
// left out one, or a part of one.
func (r *request) values(msg any, secrets *redact.Redactor, limit int) (values map[string]string, cut bool) {
	m, _ := protomessage.Of(msg)
	if m == nil {
		return nil, false
	}
	for _, f := range r.fieldsOf(m.ProtoReflect().Descriptor()) {
		value, short, ok := f.value(m.ProtoReflect(), secrets)
		switch {
		case !ok:
			continue
		case len(values) == limit:
			return values, true
		case values == nil:
			values = make(map[string]string)
		}
		values[f.path] = value
		cut = cut || short
	}
	return values, cut
}

// value returns the value of a field, if it is set, and whether it was cut.
func (f *field) value(m protoreflect.Message, secrets *redact.Redactor) (value string, cut, ok bool) {
	for i, d := range f.at {
		switch {
		case !m.Has(d):
			return "", false, false
		case secrets.Hides(d):
			return redact.Text, false, true
		case i == len(f.at)-1:
			value, cut = secrets.Value(d, m.Get(d))
			return value, cut, true
		}
		m = m.Get(d).Message()
	}
	return "", false, false
}
