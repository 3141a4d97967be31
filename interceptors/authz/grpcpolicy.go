package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// maxGRPC is the greatest size of a policy for [ParseGRPC], in bytes.
const maxGRPC = 64 << 20

// ParseGRPC imports an authorization policy of grpc-go (package google.golang.org/grpc/authz),
// JSON as in gRFC A43. What grpc-go rejects is an error, and so are duplicate keys and names,
// paths and keys of headers that no request can have, and text after the policy. Errors name
// the place.
// The rules are named as in grpc-go's audit logs: the policy's name, "_" and the rule's name.
//
// The rules match what they match in grpc-go. Rules of "deny_rules" have AbsentPasses, and those with
// "principals" have UnverifiedPrincipals: clear that unless the server's tls.Config accepts only
// certificates that it has verified. What differs is stricter, except for the last point:
//
//   - grpc-go compares several values of a header joined by commas. Here an allow rule needs
//     every value to match, and a deny rule any value, or all joined by commas. An allow rule
//     that only matches joined values matches nothing.
//   - Duplicate names are errors. grpc-go forgets the rule that comes first.
//   - "*" matches binary values with line breaks too.
//
// Of "audit_logging_options" the loggers that are optional are left out, as if they were not
// registered; others are an error. The interceptor logging writes the decision on each call that is
// rejected, with its rule, and with Config.RecordAllowed that on calls that are admitted.
func ParseGRPC(policy []byte) (Policy, error) {
	p, err := parseGRPC(policy)
	if err != nil {
		return Policy{}, fmt.Errorf("authz: the gRPC authorization policy: %w", err)
	}
	return p, nil
}

// grpcPolicy is the JSON form.
type grpcPolicy struct {
	Name       string     `json:"name"`
	DenyRules  []grpcRule `json:"deny_rules"`
	AllowRules []grpcRule `json:"allow_rules"`
	Audit      grpcAudit  `json:"audit_logging_options"`
}

type grpcRule struct {
	Name   string `json:"name"`
	Source struct {
		Principals []string `json:"principals"`
	} `json:"source"`
	Request struct {
		Paths   []string     `json:"paths"`
		Headers []grpcHeader `json:"headers"`
	} `json:"request"`
}

type grpcHeader struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

type grpcAudit struct {
	Condition string       `json:"audit_condition"`
	Loggers   []grpcLogger `json:"audit_loggers"`
}

type grpcLogger struct {
	Name       string         `json:"name"`
	Config     map[string]any `json:"config"`
	IsOptional bool           `json:"is_optional"`
}

func parseGRPC(text []byte) (Policy, error) {
	if len(text) > maxGRPC {
		return Policy{}, fmt.Errorf("it has %d bytes; want at most %d", len(text), maxGRPC)
	}
	if err := checkJSON(text, grpcSchema()); err != nil {
		return Policy{}, err
	}
	var p grpcPolicy
	if err := json.Unmarshal(text, &p); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return Policy{}, fmt.Errorf("%s: %s is a JSON %s; want %s",
				place(text, wrong.Offset), wrong.Field, wrong.Value, jsonType(wrong.Type.Kind()))
		}
		return Policy{}, err
	}
	switch {
	case p.Name == "":
		return Policy{}, errors.New(`"name" is not present`)
	case len(p.AllowRules) == 0:
		return Policy{}, errors.New(`"allow_rules" is not present`)
	}
	if err := p.Audit.check(); err != nil {
		return Policy{}, err
	}
	deny, err := grpcRules("deny_rules", p.Name, p.DenyRules, true)
	if err != nil {
		return Policy{}, err
	}
	allow, err := grpcRules("allow_rules", p.Name, p.AllowRules, false)
	return Policy{Allow: allow, Deny: deny}, err
}

// check rejects audit loggers that would have to run.
func (a *grpcAudit) check() error {
	conditions := []string{"", "NONE", "ON_DENY", "ON_ALLOW", "ON_DENY_AND_ALLOW"}
	if !slices.Contains(conditions, a.Condition) {
		return fmt.Errorf("audit_logging_options.audit_condition is %.60q; want %s",
			a.Condition, strings.Join(conditions[1:], ", "))
	}
	for i, l := range a.Loggers {
		at := fmt.Sprintf("audit_logging_options.audit_loggers[%d]", i)
		switch {
		case l.Name == "":
			return fmt.Errorf(`%s: "name" is not present`, at)
		case !l.IsOptional:
			return fmt.Errorf(`%s: the logger %.60q is not available; want "is_optional": true, `+
				`and the decisions in the log of calls`, at, l.Name)
		}
	}
	return nil
}

func grpcRules(list, policy string, rules []grpcRule, deny bool) ([]Rule, error) {
	var out []Rule
	names := make(map[string]int, len(rules))
	for i, r := range rules {
		at := fmt.Sprintf("%s[%d]", list, i)
		if r.Name == "" {
			return nil, fmt.Errorf(`%s: "name" is not present`, at)
		}
		if first, again := names[r.Name]; again {
			return nil, fmt.Errorf(`%s: "name" is %.60q, as in %s[%d]; want a name once`, at, r.Name, list, first)
		}
		names[r.Name] = i
		paths := grpcTexts(r.Request.Paths)
		for k, path := range paths {
			if err := checkPath(path); err != nil {
				return nil, fmt.Errorf("%s.request.paths[%d]: %w", at, k, err)
			}
		}
		metadata, err := grpcHeaders(at+".request", r.Request.Headers)
		if err != nil {
			return nil, err
		}
		rule := Rule{
			Name: policy + "_" + r.Name, Paths: paths, Principals: grpcTexts(r.Source.Principals),
			Metadata: metadata, AbsentPasses: deny, UnverifiedPrincipals: len(r.Source.Principals) > 0,
		}
		if rule.Paths == nil {
			rule.Methods = []string{"*"}
		}
		out = append(out, rule)
	}
	return out, nil
}

func grpcHeaders(at string, headers []grpcHeader) ([]MetadataMatch, error) {
	var out []MetadataMatch
	for i, h := range headers {
		at := fmt.Sprintf("%s.headers[%d]", at, i)
		key := strings.ToLower(h.Key)
		switch {
		case key == "":
			return nil, fmt.Errorf(`%s: "key" is not present`, at)
		case unsupportedInGRPC(key):
			return nil, fmt.Errorf(`%s: unsupported "key" %.60q`, at, key)
		case len(h.Values) == 0:
			return nil, fmt.Errorf(`%s: "values" is not present`, at)
		}
		if err := callcel.CheckKey(key); err != nil {
			return nil, fmt.Errorf(`%s: "key" is %.60q, %w`, at, key, err)
		}
		out = append(out, MetadataMatch{Key: key, Values: grpcTexts(h.Values)})
	}
	return out, nil
}

// unsupportedInGRPC reports whether a policy of grpc-go cannot name a header, by gRFC A43.
func unsupportedInGRPC(key string) bool {
	switch key {
	case "host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
		"transfer-encoding", "upgrade":
		return true
	default:
		return key[0] == ':' || strings.HasPrefix(key, "grpc-")
	}
}

// grpcTexts translates patterns: only the first or the last star of a pattern has a meaning
// in grpc-go, the last one first.
func grpcTexts(patterns []string) []string {
	var out []string
	for _, p := range patterns {
		prefix, isPrefix := strings.CutSuffix(p, "*")
		suffix, isSuffix := strings.CutPrefix(p, "*")
		switch {
		case p == "*":
			out = append(out, p)
		case isPrefix:
			out = append(out, quoteText(prefix)+"*")
		case isSuffix:
			out = append(out, "*"+quoteText(suffix))
		default:
			out = append(out, quoteText(p))
		}
	}
	return out
}

// place returns the line and the column, in bytes, of an offset.
func place(text []byte, offset int64) string {
	before := text[:min(max(offset, 0), int64(len(text)))]
	return fmt.Sprintf("%d:%d", 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n'))
}
