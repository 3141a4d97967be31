package sidecar

import (
	"errors"
	"fmt"
	"strings"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// checkMessages returns an error with a line for each entry that needs the contents of messages. The sidecar does not
// decode them: such an entry would decide nothing, and an operator would rely on it.
func checkMessages(p *policyfile.Policy) error {
	var errs []error
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		if e.Mode == policyfile.Off {
			continue
		}
		if what := needsMessages(e); what != "" {
			errs = append(errs, fmt.Errorf("%s:%d:%d: %s needs the contents of messages, which a sidecar does not "+
				"decode; want it in the chain of the service (policy.Open), or mode: off",
				p.Name(), e.Line, e.Column, what))
		}
	}
	return errors.Join(errs...)
}

// needsMessages returns what of an entry needs the contents of messages, or "".
func needsMessages(e *policyfile.Entry) string {
	switch e.Use {
	case "validate", "tenant", "idempotency", "cache", "coalesce":
		return e.Use
	}
	for _, s := range e.Settings {
		name := s.Key[strings.LastIndexByte(s.Key, '.')+1:]
		if name == "field" || needsPayload(e.Use, s, name) {
			return e.Use + " with " + s.Key
		}
	}
	return ""
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
