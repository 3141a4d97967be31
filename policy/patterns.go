package policy

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/nearest"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// checkPatterns reports patterns of methods that are not well-formed, or match no method of the services.
func (r *reader) checkPatterns() {
	server, client := methodsOf(r.deps.Services), methodsOf(r.clientServices)
	for _, p := range r.decoder.Patterns {
		checkPattern(p, server)
	}
	for _, e := range r.entries {
		methods := server
		if e.Side == hauberk.ClientSide {
			methods = client
		}
		for _, p := range e.decoder.Patterns {
			e.ok = checkPattern(p, methods) && e.ok
		}
		r.checkDenied(e)
	}
}

// checkDenied reports patterns of rules of authz that deny only public methods. Calls of these pass without a rule, so
// such a pattern would deny nothing.
func (r *reader) checkDenied(e *entry) {
	if e.Use != "authz" {
		return
	}
	for _, p := range e.decoder.Patterns {
		denied, ok := pattern.Parse(p.Text)
		if p.Key != "deny" || !ok {
			continue
		}
		for _, text := range r.form.Public {
			if public, ok := pattern.Parse(text); ok && public.Covers(denied) {
				p.At.Errorf("deny has %.200q, and public has %.200q; want methods that are not public, "+
					"since rules do not apply to calls of public methods", p.Text, text)
				break
			}
		}
	}
}

// methodsOf returns the methods of services, such as "shop.v1.Cart/Get".
func methodsOf(services []protoreflect.ServiceDescriptor) (all []string) {
	for _, s := range services {
		methods := s.Methods()
		for i := range methods.Len() {
			all = append(all, string(s.FullName())+"/"+string(methods.Get(i).Name()))
		}
	}
	return all
}

// checkPattern reports a bad pattern. Without methods any is accepted that is well-formed.
func checkPattern(p shape.Pattern, methods []string) bool {
	parsed, ok := pattern.Parse(p.Text)
	if !ok {
		p.At.Errorf("%s has %.200q, which is not a pattern of methods; want one such as shop.v1.Cart/Get, "+
			"shop.v1.Cart/*, shop.v1.* or *", p.Key, p.Text)
		return false
	}
	matches := func(method string) bool {
		service, name, _ := strings.Cut(method, "/")
		return parsed.Matches(service, name)
	}
	text := strings.TrimPrefix(p.Text, "/")
	if len(methods) == 0 || strings.HasPrefix(text, "grpc.") || slices.ContainsFunc(methods, matches) {
		return true
	}
	hint := "want one such as " + methods[0]
	if like := nearest.Of(text, candidates(text, methods)); like != "" {
		hint = `did you mean "` + like + `"?`
	}
	p.At.Errorf("%s is %.200q, which matches no method of the services; %s", p.Key, p.Text, hint)
	return true
}

// candidates returns what a pattern of the same form could be.
func candidates(text string, methods []string) []string {
	var all []string
	for _, method := range methods {
		service, _, _ := strings.Cut(method, "/")
		switch {
		case strings.HasSuffix(text, "/*"):
			all = append(all, service+"/*")
		case strings.HasSuffix(text, ".*"):
			all = append(all, service[:max(strings.LastIndexByte(service, '.'), 0)]+".*")
		default:
			all = append(all, method)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
