package authz

import (
	"errors"
	"fmt"
)

// DefaultMaxCost is the default of [Config.MaxCost].
const DefaultMaxCost = 100_000

// Limits of a policy. What is beyond them is an error at load.
const (
	// MaxRules is the greatest number of rules of a policy.
	MaxRules = 100_000
	// MaxExpressions is the greatest number of different expressions of a policy.
	MaxExpressions = 10_000
	// MaxExpression is the greatest length of an expression in bytes.
	MaxExpression = 8 << 10
	// MaxValues is the greatest number of entries of one field of a rule.
	MaxValues = 10_000
	// MaxValue is the greatest length of an entry, of a name and of a key in bytes.
	MaxValue = 4 << 10
)

// Config holds the settings of [New]. Policy must have a rule that allows, unless [WithPolicy] adds
// one.
type Config struct {
	// Policy is the rules. It must not be modified after New.
	Policy Policy
	// Shared is set for a policy that several servers use. [hauberk.Server.Serve] fails if a
	// pattern of a rule matches no method of the server, since a rule of Deny with a typo denies
	// nothing. With Shared it accepts patterns of services that the server does not have, and
	// does not find typos in the names of services.
	Shared bool
	// MaxCost bounds the cost of one evaluation of an expression, in CEL's units: one for
	// each step, one for ten bytes of compared text. Expressions that can cost more by
	// CEL's estimate are errors at load; an evaluation that does cost more fails. The
	// estimate assumes lists and maps of 100 entries and texts of 1 KiB. The default is
	// DefaultMaxCost.
	MaxCost uint64
	// RecordAllowed records the rule that admits a call ([hauberk.Call.Decisions]), which
	// costs each admitted call two allocations. Rejections are always recorded.
	RecordAllowed bool
}

// Policy is rules that allow and rules that deny. A call is admitted if no rule of Deny and a
// rule of Allow matches it. The order of the rules has no effect on the verdict.
type Policy struct {
	// Allow must have at least one rule, unless [WithPolicy] adds one.
	Allow []Rule
	// Deny may be empty. Its rules do not hold for the methods in [hauberk.Config.Public].
	Deny []Rule
}

// Rule matches calls. All of its fields that are set must match; of the entries of a field
// at least one. Methods or Paths must be set.
//
// The entries of Paths, Principals, Subjects, Issuers, Tenants, Scopes, Roles and
// MetadataMatch.Values are text patterns, which match whole values:
//
//   - "abc" matches this value;
//   - "abc*" matches values with this prefix, "abc" too;
//   - "*abc" matches values with this suffix;
//   - "*" matches every value that is not empty;
//   - "\*" is a star in a value, and "\\" a backslash. A star at any other place is an error.
type Rule struct {
	// Name identifies the rule in errors and decisions, never to clients. It must be unique
	// within its list. The default is the rule's place, such as "Allow[2]".
	Name string
	// Methods are patterns of methods, as in [hauberk.For]. See also [Config.Shared].
	Methods []string
	// Paths are text patterns of methods' full names, such as "/shop.v1.Cart/Get*", for
	// imported policies. A rule has Methods or Paths.
	Paths []string
	// Principals are text patterns of the names in the client's TLS certificate, as in gRFC
	// A41: of its URI SANs, or if it has none of its DNS SANs, or else of its subject. A TLS
	// client without a certificate has the name "". Without TLS the attribute is missing, and so it
	// is for a certificate that crypto/tls did not verify. See UnverifiedPrincipals.
	Principals []string
	// UnverifiedPrincipals lets Principals judge a certificate that crypto/tls did not verify, as
	// grpc-go's authorization policies do. With it anyone can have any name, unless the server's
	// tls.Config verifies each certificate by VerifyPeerCertificate or VerifyConnection, as that of
	// go-spiffe does. The alternative there is authnmtls with Bundles, and Subjects. It is an error
	// without Principals.
	UnverifiedPrincipals bool
	// Subjects, Issuers and Tenants are text patterns of the fields of the caller's
	// [hauberk.Identity].
	Subjects, Issuers, Tenants []string
	// Scopes and Roles match if the identity has a scope or a role that matches. To require
	// several, use When.
	Scopes, Roles []string
	// Metadata must all match.
	Metadata []MetadataMatch
	// ClientAddrs are networks ("10.0.0.0/8", "2001:db8::/32") and addresses of clients, by
	// [hauberk.Call.ClientAddr].
	ClientAddrs []string
	// When is an expression in CEL that returns a bool. See the package's documentation for
	// its variables.
	When string
	// Request lets When use the variable request, the first request message of the call.
	// The message is read before the decision, and only if the decision depends on it. Later
	// messages of a stream are not judged: see the example Stream.
	Request bool
	// AbsentPasses lets calls without an attribute escape a rule of Deny, as in grpc-go's
	// authorization policies. Without it such calls are denied. It is an error in Allow, and
	// has no effect on When.
	AbsentPasses bool
}

// MetadataMatch matches the values of a key of the request metadata. In a rule of Allow every
// value of the key must match, in a rule of Deny any value, or all of them joined by commas.
type MetadataMatch struct {
	// Key is the metadata key. Its case does not matter. The values of a key that ends in
	// "-bin" are compared decoded.
	Key string
	// Values are text patterns.
	Values []string
}

func (c Config) withDefaults() Config {
	if c.MaxCost == 0 {
		c.MaxCost = DefaultMaxCost
	}
	return c
}

// check returns what is wrong with the size of the policy, to which a number of rules is added.
func (c Config) check(stated int) error {
	var errs []error
	if len(c.Policy.Allow)+stated == 0 {
		errs = append(errs, errors.New("Policy.Allow has no rule, so that every call would be rejected"))
	}
	if n := len(c.Policy.Allow) + len(c.Policy.Deny) + stated; n > MaxRules {
		errs = append(errs, fmt.Errorf("Policy has %d rules; want at most %d", n, MaxRules))
	}
	return errors.Join(errs...)
}
