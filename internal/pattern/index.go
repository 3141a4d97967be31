package pattern

import (
	"fmt"
	"strings"
)

// Method is a method with the names of its service and of itself.
type Method interface {
	Service() string
	Name() string
}

// Index finds out whether patterns match any of many methods.
type Index struct {
	methods  map[[2]string]struct{} // by service and name
	services map[string]struct{}
	packages map[string]struct{} // those of the services, and the packages around them
}

// IndexOf returns an index of methods.
func IndexOf[M Method](methods []M) *Index {
	x := &Index{make(map[[2]string]struct{}), make(map[string]struct{}), make(map[string]struct{})}
	for _, m := range methods {
		service, name := m.Service(), m.Name()
		x.methods[[2]string{service, name}] = struct{}{}
		if !dotted(name) {
			continue
		}
		x.services[service] = struct{}{}
		if !dotted(service) {
			continue
		}
		for at, c := range []byte(service) {
			if c == '.' {
				x.packages[service[:at]] = struct{}{}
			}
		}
	}
	return x
}

// Has reports whether a pattern matches one of the methods.
func (x *Index) Has(p Pattern) (has bool) {
	switch {
	case p.Name != "":
		_, has = x.methods[[2]string{p.Service, p.Name}]
	case p.Service != "":
		_, has = x.services[p.Service]
	case p.Package != "":
		_, has = x.packages[p.Package]
	default:
		return true
	}
	return has
}

// Serves reports whether one of the methods belongs to the service that a pattern names, or to
// the package if it names one.
func (x *Index) Serves(p Pattern) bool {
	p.Name = ""
	return x.Has(p)
}

// Unmatched lists the patterns of a setting that match none of the methods, as in the source:
// `For("shop.v1.Crat/*")`. Patterns of services in the package grpc that no method belongs to, such as
// health, are left out, since servers may do without them, unless the server has another service of the
// same package: "grpc.health.v1.Helth/Check".
func (x *Index) Unmatched(setting string, patterns Set) []string {
	var all []string
	for _, p := range patterns {
		optional := strings.HasPrefix(p.Service+p.Package+".", "grpc.") && !x.Serves(p) && !x.servesNext(p.Service)
		if x.Has(p) || optional {
			continue
		}
		all = append(all, fmt.Sprintf("%s(%q)", setting, p.String()))
	}
	return all
}

// servesNext reports whether one of the methods belongs to the package of a service, or to one below it.
func (x *Index) servesNext(service string) bool {
	_, has := x.packages[service[:max(strings.LastIndexByte(service, '.'), 0)]]
	return has
}
