package policyreplay

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/callcel"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
	"github.com/hauberk-rpc/hauberk/policy"
)

// needs is what an entry reads of a call.
type needs struct {
	callcel.Needs

	certificate bool
}

// add adds what an expression reads.
func (n *needs) add(text string) {
	e := callcel.NeedsOf(text)
	n.Address, n.Request = n.Address || e.Address, n.Request || e.Request
	n.AllMetadata, n.AllClaims = n.AllMetadata || e.AllMetadata, n.AllClaims || e.AllClaims
	n.Metadata, n.Claims = append(n.Metadata, e.Metadata...), append(n.Claims, e.Claims...)
}

// missing returns what the record of a call with an identity, or nil, does not have: "no message". It returns "" if
// nothing is missing.
func (n *needs) missing(r *Record, id *hauberk.Identity) string {
	switch {
	case n.Request:
		return "no message"
	case n.certificate:
		return "no certificate"
	case n.Address && !r.Peer.IsValid():
		return "no address of the client"
	}
	if missing := n.missingClaim(r, id); missing != "" {
		return missing
	}
	return n.missingMetadata(r)
}

func (n *needs) missingClaim(r *Record, id *hauberk.Identity) string {
	switch {
	case id == nil:
		return ""
	case n.AllClaims:
		return "no complete list of claims"
	}
	for _, name := range n.Claims {
		if !r.Claims[name] {
			return "no claim " + strconv.Quote(name)
		}
	}
	return ""
}

func (n *needs) missingMetadata(r *Record) string {
	switch {
	case (n.AllMetadata || len(n.Metadata) > 0) && !r.HasMetadata:
		return "no metadata"
	case n.AllMetadata && (r.Cut || len(r.Partly) > 0):
		return "no complete metadata"
	}
	for _, key := range n.Metadata {
		if _, whole := r.Metadata[key]; r.Partly[key] || !whole && r.Cut {
			return "no value of the metadata " + strconv.Quote(key)
		}
	}
	return ""
}

// needsOf returns what an entry reads of calls of a method, and whether a replay can run the entry.
func needsOf(e *policy.Entry, method string) (n needs, replayed bool) {
	switch e.Use {
	case "request_id", "decision_trace", "tracing", "metrics", "metrics_otel", "logging", "report", "audit", "recovery",
		"errs", "transform", "serving", "forward":
		return n, true
	case authn:
		return n, true
	case "authz":
		n.authz(e, method)
		return n, true
	case "version":
		key := "user-agent"
		for _, s := range e.Settings {
			if s.Key == "metadata" {
				key = s.Value
			}
		}
		n.Metadata = []string{key}
		return n, true
	case "tenant", "validate":
		n.Request = true
		return n, true
	case "rate_limit":
		return n.limit(e)
	default:
		return n, false
	}
}

// ruleKey is the key of a setting of a rule: "rules[2].when", or "rules.when" if there is one rule.
var ruleKey = regexp.MustCompile(
	`^(rules(?:\[\d+\])?)\.(\w+)`)

// authz adds what the rules read that name the method.
func (n *needs) authz(e *policy.Entry, method string) {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	other := make(map[string]bool) // rules of other methods
	for _, s := range e.Settings {
		if m := ruleKey.FindStringSubmatch(s.Key); len(m) > 0 && (m[2] == "allow" || m[2] == "deny") {
			set, bad := pattern.ParseAll(list(s.Value))
			other[m[1]] = bad == nil && !set.Matches(service, name)
		}
	}
	for _, s := range e.Settings {
		m := ruleKey.FindStringSubmatch(s.Key)
		if len(m) == 0 || other[m[1]] {
			continue
		}
		switch m[2] {
		case "when":
			n.add(s.Value)
		case "principals":
			n.certificate = true
		case "client_addrs":
			n.Address = true
		case "metadata":
			if strings.HasSuffix(s.Key, ".key") {
				n.Metadata = append(n.Metadata, strings.ToLower(s.Value))
			}
		}
	}
}

// list returns the texts of a setting: "[a, b]" or "a".
func list(text string) []string {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		return strings.Split(strings.TrimSuffix(inner, "]"), ", ")
	}
	return []string{text}
}

// limit adds what the keys and the costs of a limit read.
func (n *needs) limit(e *policy.Entry) (needs, bool) {
	by := false
	for _, s := range e.Settings {
		parts := strings.FieldsFunc(s.Key, func(r rune) bool { return r == '.' || r == '[' })
		last := parts[len(parts)-1]
		switch at := slices.IndexFunc(parts, func(p string) bool { return p == "by" || p == "cost" }); {
		case slices.Contains([]string{"redis", "rls", "shared", "over_limit"}, parts[0]):
			return *n, false
		case at < 0:
		case parts[at] == "cost":
			switch {
			case slices.Contains([]string{"message", "byte", "messages", "charged"}, last):
				return *n, false
			case last == "of":
				n.add(s.Value)
			}
		default:
			by = true
			n.key(last, s.Value)
		}
	}
	if !by {
		n.Address = true // the default is the peer
	}
	return *n, true
}

// key adds what a key of a limit reads.
func (n *needs) key(last, value string) {
	switch last {
	case "metadata":
		n.Metadata = append(n.Metadata, value)
	case "field":
		n.Request = true
	case "cel":
		n.add(value)
	case "ipv4", "ipv6":
		n.Address = true
	case "name":
	default:
		for _, word := range list(value) {
			switch word {
			case "user", "tenant", "peer": // of a call without a user the address counts
				n.Address = true
			}
		}
	}
}

// refill returns how long it takes until all permits of a limit have returned.
func refill(e *policy.Entry) (longest time.Duration) {
	limits, bursts := make(map[string]string), make(map[string]string)
	for _, s := range e.Settings {
		if at, ok := strings.CutSuffix(s.Key, "limit"); ok {
			limits[at] = s.Value
		}
		if at, ok := strings.CutSuffix(s.Key, "burst"); ok {
			bursts[at] = s.Value
		}
	}
	for at, limit := range limits {
		number, period, _ := strings.Cut(limit, "/")
		per, err := time.ParseDuration(period)
		if err != nil {
			return forever
		}
		permits, err := strconv.ParseFloat(number, 64)
		if err != nil || permits <= 0 {
			return forever
		}
		if burst, err := strconv.ParseFloat(bursts[at], 64); err == nil && burst > permits {
			per = time.Duration(min(float64(per)*burst/permits, float64(forever)))
		}
		longest = max(longest, 2*per) // a sliding window returns some permits a little later
	}
	return longest
}

// forever is longer than any log.
const forever = 100 * 365 * 24 * time.Hour
