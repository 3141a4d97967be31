package authz_test

import (
	"net"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// The model evaluates every rule of a policy from its source for every call. It shares no
// code with the product, and keeps nothing.

// verdicts of the model about one condition, as numbers: the least of several counts.
const (
	modelFalse = iota
	modelUnknown
	modelTrue
)

// modelAllows returns whether a policy allows a call.
func modelAllows(p authz.Policy, r request) bool {
	for i := range p.Deny {
		if modelRule(p.Deny[i], r, true) != modelFalse {
			return false
		}
	}
	for i := range p.Allow {
		if modelRule(p.Allow[i], r, false) == modelTrue {
			return true
		}
	}
	return false
}

func modelRule(rule authz.Rule, r request, deny bool) int {
	if !modelNames(rule, r.method) {
		return modelFalse
	}
	conditions := []int{modelTrue}
	identity := func(patterns, values []string, missing bool) {
		switch {
		case patterns == nil:
		case r.id == nil || missing:
			conditions = append(conditions, modelUnknown)
		default:
			conditions = append(conditions, modelBool(modelSome(patterns, values)))
		}
	}
	if r.id != nil {
		identity(rule.Subjects, []string{r.id.Subject}, false)
		identity(rule.Issuers, []string{r.id.Issuer}, r.id.Issuer == "")
		identity(rule.Tenants, []string{r.id.Tenant}, r.id.Tenant == "")
		identity(rule.Scopes, r.id.Scopes, false)
		identity(rule.Roles, r.id.Roles, false)
	} else {
		for _, patterns := range [][]string{rule.Subjects, rule.Issuers, rule.Tenants, rule.Scopes, rule.Roles} {
			identity(patterns, nil, true)
		}
	}
	for _, m := range rule.Metadata {
		conditions = append(conditions, modelMetadata(m, r.md[strings.ToLower(m.Key)], deny))
	}
	if rule.ClientAddrs != nil {
		conditions = append(conditions, modelAddr(rule.ClientAddrs, r))
	}
	fields := slices.Min(conditions)
	if fields == modelUnknown && rule.AbsentPasses {
		return modelFalse
	}
	if rule.When != "" {
		return min(fields, modelWhens[rule.When](r))
	}
	return fields
}

func modelBool(b bool) int {
	if b {
		return modelTrue
	}
	return modelFalse
}

// modelNames reports whether a rule names a method.
func modelNames(rule authz.Rule, full string) bool {
	if rule.Paths != nil {
		return modelSome(rule.Paths, []string{full})
	}
	name := strings.TrimPrefix(full, "/")
	service := name[:strings.LastIndex(name, "/")]
	for _, p := range rule.Methods {
		p = strings.TrimPrefix(p, "/")
		if p == "*" || p == name || p == service+"/*" {
			return true
		}
		if pkg, ok := strings.CutSuffix(p, ".*"); ok && strings.HasPrefix(service, pkg+".") {
			return true
		}
	}
	return false
}

// modelSome reports whether a pattern matches a value.
func modelSome(patterns, values []string) bool {
	for _, v := range values {
		for _, p := range patterns {
			if modelText(p, v) {
				return true
			}
		}
	}
	return false
}

// modelText matches patterns without escapes.
func modelText(p, v string) bool {
	switch {
	case p == "*":
		return v != ""
	case strings.HasSuffix(p, "*"):
		return len(v) >= len(p)-1 && v[:len(p)-1] == p[:len(p)-1]
	case strings.HasPrefix(p, "*"):
		return len(v) >= len(p)-1 && v[len(v)-len(p)+1:] == p[1:]
	default:
		return p == v
	}
}

func modelMetadata(m authz.MetadataMatch, values []string, deny bool) int {
	if len(values) == 0 {
		return modelUnknown
	}
	if deny {
		return modelBool(modelSome(m.Values, append([]string{strings.Join(values, ",")}, values...)))
	}
	for _, v := range values {
		if !modelSome(m.Values, []string{v}) {
			return modelFalse
		}
	}
	return modelTrue
}

func modelAddr(networks []string, r request) int {
	if r.noAddr {
		return modelUnknown
	}
	addr := r.addr
	if addr == "" {
		addr = "192.0.2.1"
	}
	for _, n := range networks {
		if _, network, err := net.ParseCIDR(n); err == nil && network.Contains(net.ParseIP(addr)) {
			return modelTrue
		}
		if ip := net.ParseIP(n); ip != nil && ip.Equal(net.ParseIP(addr)) {
			return modelTrue
		}
	}
	return modelFalse
}

// modelWhens are expressions with what they mean.
var modelWhens = map[string]func(r request) int{
	`identity.subject == "alice"`: func(r request) int {
		if r.id == nil {
			return modelUnknown
		}
		return modelBool(r.id.Subject == "alice")
	},
	`!("admin" in identity.roles)`: func(r request) int {
		if r.id == nil {
			return modelUnknown
		}
		return modelBool(!slices.Contains(r.id.Roles, "admin"))
	},
	`identity.tenant != "acme"`: func(r request) int {
		if r.id == nil || r.id.Tenant == "" {
			return modelUnknown
		}
		return modelBool(r.id.Tenant != "acme")
	},
	`has(identity.tenant)`: func(r request) int { return modelBool(r.id != nil && r.id.Tenant != "") },
	`identity.claims.level >= 3.0`: func(r request) int {
		if r.id == nil {
			return modelUnknown
		}
		level, ok := r.id.Claims["level"].(float64)
		if !ok {
			return modelUnknown
		}
		return modelBool(level >= 3)
	},
	`metadata["x-env"].all(v, v == "prod")`: func(r request) int {
		values := r.md["x-env"]
		if len(values) == 0 {
			return modelUnknown
		}
		return modelBool(!slices.ContainsFunc(values, func(v string) bool { return v != "prod" }))
	},
	`"x-debug" in metadata || identity.subject == "bob"`: func(r request) int {
		switch {
		case len(r.md["x-debug"]) > 0:
			return modelTrue
		case r.id == nil:
			return modelUnknown
		default:
			return modelBool(r.id.Subject == "bob")
		}
	},
	`client_addr.in_cidr("10.0.0.0/8") && method.endsWith("/Get")`: func(r request) int {
		switch {
		case !strings.HasSuffix(r.method, "/Get"):
			return modelFalse
		case r.noAddr:
			return modelUnknown
		default:
			return modelAddr([]string{"10.0.0.0/8"}, r)
		}
	},
	`service == "shop.v1.Cart"`: func(r request) int {
		return modelBool(strings.HasPrefix(r.method, "/shop.v1.Cart/"))
	},
	`now.getFullYear() == 2026`: func(request) int { return modelTrue },
}
