package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// The reasons of calls whose messages must be decoded and are not.
const (
	reasonNotDescribed  = "METHOD_NOT_DESCRIBED"
	reasonNoDescriptors = "DESCRIPTORS_NOT_KNOWN"
)

// reader is a part of a policy that reads the contents of messages, and the methods that it does so for.
type reader struct {
	what         string // such as "logging with payloads"
	line, column int
	must         bool        // a call without them is rejected; others are neither kept nor joined
	of, except   pattern.Set // of the entry; nil of is all
	ofRule       pattern.Set // of a rule of the entry; nil is all
}

func (r *reader) runs(service, method string) bool {
	return (r.of == nil || r.of.Matches(service, method)) && !r.except.Matches(service, method) &&
		(r.ofRule == nil || r.ofRule.Matches(service, method))
}

// readersOf returns what of a policy reads messages.
func readersOf(p *policyfile.Policy) (all []reader) {
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		if e.Mode == policyfile.Off {
			continue
		}
		r := reader{
			what: e.Use, line: e.Line, column: e.Column, must: true,
			of: patterns(e.Methods), except: patterns(e.Except),
		}
		switch e.Use {
		case "validate", "tenant", "idempotency":
			all = append(all, r)
			continue
		case "cache", "coalesce":
			r.must = false
			all = append(all, r)
		}
		for _, s := range e.Settings {
			at := strings.LastIndexByte(s.Key, '.')
			if name := s.Key[at+1:]; name == "field" || needsPayload(e.Use, s, name) {
				rule := r
				rule.must, rule.what, rule.ofRule = true, e.Use+" with "+s.Key, ruleOf(e, s.Key[:max(at, 0)])
				all = append(all, rule)
			}
		}
	}
	return all
}

// ruleOf returns the methods of a rule, such as rules[2], or nil for all.
func ruleOf(e *policyfile.Entry, rule string) (of pattern.Set) {
	if !strings.HasSuffix(rule, "]") {
		return nil
	}
	for _, s := range e.Settings {
		switch strings.TrimPrefix(s.Key, rule) {
		case ".methods", ".allow", ".deny":
			some := patterns(strings.Split(strings.Trim(s.Value, "[]"), ", "))
			if some == nil {
				return nil
			}
			of = append(of, some...)
		}
	}
	return of
}

// patterns parses patterns of a policy, which are valid. It returns nil for none.
func patterns(texts []string) pattern.Set {
	set, bad := pattern.ParseAll(texts)
	if len(bad) > 0 || len(set) == 0 {
		return nil // a text that is not a pattern, such as a reference, can mean all methods
	}
	return set
}

// needsPayload reports whether a setting of an interceptor needs the contents of messages.
func needsPayload(use string, s policyfile.Setting, name string) bool {
	switch use {
	case "authz":
		return name == "request" && s.Value == "true"
	case "ext_authz":
		return strings.HasPrefix(s.Key, "body.")
	case "audit":
		return name == "fields"
	case "logging":
		return s.Key == "payloads" && s.Value == "always" ||
			(s.Key == "payloads.on" || name == "payloads") && s.Value == "true"
	default:
		return false
	}
}

// checkMessages returns an error with a line for each entry that needs the contents of messages. Without descriptors
// the sidecar does not decode them: such an entry would do nothing, and an operator would rely on it.
func checkMessages(p *policyfile.Policy) error {
	var errs []error
	line := 0
	for _, r := range readersOf(p) {
		if r.line == line {
			continue
		}
		line = r.line
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s needs the contents of messages, which a sidecar decodes only "+
			"with descriptors; want gateway.reflection: true, gateway.descriptors_file, or mode: off",
			p.Name(), r.line, r.column, r.what))
	}
	return errors.Join(errs...)
}

// checkClient returns an error with a line for each entry that does not work for the calls of a sidecar to its
// upstream. They are streams, which coalesce cannot share between callers.
func checkClient(p *policyfile.Policy) error {
	var errs []error
	entries := p.Entries()
	for i := range entries {
		if e := &entries[i]; e.Use == "coalesce" && e.Side == hauberk.ClientSide && e.Mode != policyfile.Off {
			errs = append(errs, fmt.Errorf("%s:%d:%d: coalesce does not work in the client chain of a sidecar; "+
				"want it in server", p.Name(), e.Line, e.Column))
		}
	}
	return errors.Join(errs...)
}

// describes reports whether the section gateway of a policy names descriptors.
func describes(g *section) bool { return g != nil && (g.Reflection || g.DescriptorsFile != "") }

// messages decides which messages the sidecar decodes. It is safe for concurrent use.
type messages struct {
	upstreamHas *descriptors
	readers     atomic.Pointer[[]reader] // of the policy in force, and of one that is about to be
}

// follow takes the policy in force.
func (m *messages) follow(p *policyfile.Policy) {
	readers := readersOf(p)
	m.readers.Store(&readers)
}

// prepare takes in addition a policy that will be in force soon.
func (m *messages) prepare(p *policyfile.Policy) {
	readers := readersOf(p)
	if now := m.readers.Load(); now != nil {
		readers = slices.Concat(*now, readers)
	}
	m.readers.Store(&readers)
}

// of is gateway.Config.Messages.
func (m *messages) of(name string) (protoreflect.MethodDescriptor, error) {
	reads, must := m.reads(name)
	if !reads {
		return nil, nil //nolint:nilnil // the messages are not decoded
	}
	method, known := m.upstreamHas.method(name)
	if method != nil || !must {
		return method, nil
	}
	m.upstreamHas.want()
	if !known {
		return nil, hauberk.Reject(codes.Unavailable, reasonNoDescriptors,
			"The sidecar does not know the services of the upstream yet")
	}
	return nil, hauberk.Reject(codes.Unimplemented, reasonNotDescribed,
		"The sidecar must decode messages, and has no descriptor of the method")
}

// reads reports whether interceptors of a method read messages, and whether one must.
func (m *messages) reads(name string) (reads, must bool) {
	all := m.readers.Load()
	if all == nil {
		return false, false
	}
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	for i := range *all {
		if r := &(*all)[i]; (!reads || r.must) && r.runs(service, method) {
			reads, must = true, must || r.must
		}
	}
	return reads, must
}
