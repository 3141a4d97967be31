package policyimport

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// Authz returns a policy file with the rules of an authorization policy of grpc-go (package
// google.golang.org/grpc/authz), JSON as in gRFC A43. notes are what differs or has no place in a policy file, a line
// each; the file has them as comments, too. [authz.ParseGRPC] says what is stricter than in grpc-go.
func Authz(data []byte) (file []byte, notes []string, err error) {
	p, err := authz.ParseGRPC(data)
	if err != nil {
		return nil, nil, err
	}
	var source struct {
		Audit struct {
			Condition string            `json:"audit_condition"`
			Loggers   []json.RawMessage `json:"audit_loggers"`
		} `json:"audit_logging_options"`
	}
	if err := json.Unmarshal(data, &source); err != nil {
		return nil, nil, err
	}
	if source.Audit.Condition != "" || len(source.Audit.Loggers) > 0 {
		notes = append(notes, "audit_logging_options is not imported: add the entry audit or logging")
	}
	unverified, severalHeaders := false, false
	var b strings.Builder
	rules := func(list []authz.Rule, kind string) {
		for i := range list {
			r := &list[i]
			unverified = unverified || r.UnverifiedPrincipals
			severalHeaders = severalHeaders || len(r.Metadata) > 0
			writeRule(&b, r, kind)
		}
	}
	rules(p.Deny, "deny")
	rules(p.Allow, "allow")
	if unverified {
		notes = append(notes, "principals of certificates that nothing has verified count, as in grpc-go: remove "+
			"unverified_principals if the server verifies all certificates")
	}
	if severalHeaders {
		notes = append(notes, "of several values of a header each one must match in an allow rule, and any one in a "+
			"deny rule; grpc-go compares them joined by commas")
	}
	text := comments(notes) + "version: 1\nserver:\n  - use: authz\n    rules:\n" + b.String()
	return []byte(text), notes, check(text)
}

// writeRule writes a rule as an element of rules.
func writeRule(b *strings.Builder, r *authz.Rule, kind string) {
	fmt.Fprintf(b, "      - name: %s\n", yamlText(r.Name))
	if r.Paths != nil {
		fmt.Fprintf(b, "        %s_paths: %s\n", kind, yamlTexts(r.Paths))
	} else {
		fmt.Fprintf(b, "        %s: %s\n", kind, yamlTexts(r.Methods))
	}
	if r.Principals != nil {
		fmt.Fprintf(b, "        principals: %s\n", yamlTexts(r.Principals))
	}
	if r.UnverifiedPrincipals {
		b.WriteString("        unverified_principals: true\n")
	}
	if len(r.Metadata) > 0 {
		b.WriteString("        metadata:\n")
		for _, m := range r.Metadata {
			fmt.Fprintf(b, "          - {key: %s, values: %s}\n", yamlText(m.Key), yamlTexts(m.Values))
		}
	}
	if r.AbsentPasses {
		b.WriteString("        absent_passes: true\n")
	}
}
