package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// request is a Request with parsed patterns and paths.
type request struct {
	Request

	methods pattern.Set
	paths   []fieldpath.Path                                           // as Fields
	found   methodtable.Cache[protoreflect.MessageDescriptor, []field] // by the type of the request
}

// field is a path that a type of messages has.
type field struct {
	path string
	at   *fieldpath.Field
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
			parsed, err := fieldpath.Parse(path)
			switch {
			case err != nil:
				fail("%s.Fields[%d]: %w", at, j, err)
			case slices.Contains(r.Fields[:j], path):
				fail("%s.Fields has %q twice", at, path)
			}
			made.paths = append(made.paths, parsed)
		}
		all = append(all, made)
	}
	return all, errors.Join(errs...)
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

// unmatched returns which patterns match none of the methods.
func (x *Interceptor) unmatched(methods []*hauberk.Method) (all []string) {
	index := pattern.IndexOf(methods)
	for i, r := range x.requests {
		all = append(all, index.Unmatched(fmt.Sprintf("audit.Config.Requests[%d].Methods", i), r.methods)...)
	}
	return all
}

// invalid returns what is wrong with the elements of Config.Requests for methods of a server.
func (x *Interceptor) invalid(methods []*hauberk.Method) (all []string) {
	for i, r := range x.requests {
		for _, text := range x.invalidRequest(r, methods) {
			all = append(all, fmt.Sprintf("audit.Config.Requests[%d]", i)+text)
		}
	}
	return all
}

func (x *Interceptor) invalidRequest(r *request, methods []*hauberk.Method) (all []string) {
	matched, unknown := 0, 0
	var known []fieldpath.Method
	for _, m := range methods {
		if !r.methods.Matches(m.Service(), m.Name()) {
			continue
		}
		matched++
		if x.requestOf(m) != r {
			continue
		}
		if d := m.Descriptor(); d != nil {
			known = append(known, fieldpath.Method{Name: m.Service() + "/" + m.Name(), Request: d.Input()})
		} else {
			unknown++ // the type of its request is not known
		}
	}
	if matched > 0 && len(known)+unknown == 0 {
		return []string{" has no effect: an earlier element names each of its methods; want it first, or removed"}
	}
	for _, path := range r.paths {
		for _, m := range known {
			_, err := path.Resolve(m.Request, fieldpath.Whole)
			if err != nil && !errors.Is(err, fieldpath.ErrNotFound) {
				all = append(all, fmt.Sprintf(".Fields: %s: %v", m.Name, err))
			}
		}
		if why, missing := path.Missing(known, fieldpath.Whole); missing && unknown == 0 && len(known) > 0 {
			all = append(all, ".Fields: "+why)
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
		if at, err := path.Resolve(m, fieldpath.Whole); err == nil {
			found = append(found, field{r.Fields[i], at})
		}
	}
	if r.All {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			found = append(found, field{string(f.Name()), fieldpath.Of(f)})
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
	d, v, ok := f.at.Find(m, secrets.Hides)
	switch {
	case !ok:
		return "", false, false
	case secrets.Hides(d):
		return redact.Text, false, true
	}
	value, cut = secrets.Value(d, v)
	return value, cut, true
}
