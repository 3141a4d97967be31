package field

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
)

// describe returns the methods whose requests are known. Those of the package grpc are for all servers, and
// have no fields of the application.
func describe(methods []*hauberk.Method) (all []fieldpath.Method) {
	for _, m := range methods {
		if d := m.Descriptor(); d != nil && !infrastructure(m.Service()) {
			all = append(all, fieldpath.Method{Name: m.Service() + "/" + m.Name(), Request: d.Input()})
		}
	}
	return all
}

// infrastructure reports whether a service is one of the package grpc, such as health and reflection.
func infrastructure(service string) bool { return strings.HasPrefix(service, "grpc.") }

// Check returns an error for paths that do not fit the requests of services, as [hauberk.Server.Serve] reports
// it on a server. It is for tests of clients:
//
//	err := storage.Check(repopb.File_repo_proto.Services().ByName("Repository"))
func (f Field) Check(services ...protoreflect.ServiceDescriptor) error {
	if err := f.Err(); err != nil {
		return err
	}
	var methods []fieldpath.Method
	for i, s := range services {
		if s == nil {
			return fmt.Errorf("field: service %d of Check is nil", i+1)
		}
		list := s.Methods()
		for j := range list.Len() {
			m := list.Get(j)
			name := string(s.FullName()) + "/" + string(m.Name())
			methods = append(methods, fieldpath.Method{Name: name, Request: m.Input()})
		}
	}
	if len(methods) == 0 {
		return errors.New("field: Check was given no method; want services with methods")
	}
	if bad := f.check(methods); len(bad) > 0 {
		return errors.New("field: " + strings.Join(bad, "; "))
	}
	return nil
}

// maxNamed bounds how many methods a text names.
const maxNamed = 5

// check returns what is wrong with the paths for methods.
func (f Field) check(methods []fieldpath.Method) (bad []string) {
	if f.Err() != nil || len(methods) == 0 {
		return nil
	}
	var without, wrong []string // methods without the field, and texts of errors
	of := make(map[string][]string)
	var types []protoreflect.MessageDescriptor
	for _, m := range methods {
		types = append(types, m.Request)
		_, err := f.reader.Resolve(m.Request)
		switch {
		case errors.Is(err, fieldpath.ErrNotFound):
			without = append(without, m.Name)
		case err != nil:
			text := err.Error()
			if of[text] == nil {
				wrong = append(wrong, text)
			}
			of[text] = append(of[text], m.Name)
		}
	}
	for _, text := range wrong {
		bad = append(bad, listed(of[text])+": "+text)
	}
	unused := f.reader.Unused(types)
	for _, path := range unused {
		why, missing := path.Missing(methods, fieldpath.Texts)
		if !missing {
			why = fmt.Sprintf("each method with the path %q has an earlier path too; want it first, or removed", path)
		}
		bad = append(bad, why)
	}
	if len(without) > 0 && !f.optional && len(unused) < len(f.paths) {
		bad = append(bad, fmt.Sprintf("the requests of %s do not have %s; want a path for them, Optional, "+
			"or an interceptor for other methods only (hauberk.For)", listed(without), f.what()))
	}
	return bad
}

// listed names methods, at most maxNamed of them.
func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
