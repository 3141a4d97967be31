package authz

import (
	"net/netip"
)

// rule is a compiled [Rule].
type rule struct {
	name         string
	at           int // its place in the policy
	deny         bool
	absentPasses bool
	unverified   bool // principals judges certificates that nothing verified, too

	paths      *texts
	principals *texts
	identity   *identityMatch // nil if no field is about the identity
	required   []string       // scopes that the identity needs, all of them
	metadata   []metadataMatch
	networks   []netip.Prefix
	when       *expression // nil if there is none
}

// identityMatch is the fields of a rule that are about the identity; nil matches all.
type identityMatch struct{ subjects, issuers, tenants, scopes, roles *texts }

type metadataMatch struct {
	key    string
	values *texts
}

// order sorts rules by what they cost.
func (r *rule) order() int {
	switch {
	case r.when == nil:
		return 0
	case !r.when.needsRequest():
		return 1
	default:
		return 2
	}
}

// judge returns whether the rule matches a call whose method it names.
func (r *rule) judge(f *facts) truth {
	holds := r.judgeFields(f)
	if holds == unknown && r.absentPasses {
		return no
	}
	if holds == no || r.when == nil || holds == unknown && !r.deny {
		return holds
	}
	when, err := r.when.judge(f)
	if err != nil {
		f.fail(r, err)
	}
	return min(holds, when)
}

// judgeFields judges all fields but When.
func (r *rule) judgeFields(f *facts) truth {
	holds := yes
	if r.identity != nil {
		holds = r.identity.judge(f)
	}
	if len(r.required) > 0 && holds != no {
		holds = min(holds, f.hasScopes(r.required))
	}
	if r.principals != nil && holds != no {
		holds = min(holds, f.principal(r.principals, r.unverified))
	}
	if r.networks != nil && holds != no {
		holds = min(holds, f.inNetworks(r.networks))
	}
	for i := range r.metadata {
		if holds == no {
			break
		}
		holds = min(holds, f.metadata(&r.metadata[i], r.deny))
	}
	return holds
}

func (m *identityMatch) judge(f *facts) truth {
	id := f.caller()
	if id == nil {
		return unknown
	}
	if m.subjects != nil && !m.subjects.match(id.Subject) || m.scopes != nil && !m.scopes.matchAny(id.Scopes) ||
		m.roles != nil && !m.roles.matchAny(id.Roles) {
		return no
	}
	return min(matchOptional(m.issuers, id.Issuer), matchOptional(m.tenants, id.Tenant))
}

// matchOptional judges a value that is missing if it is empty.
func matchOptional(t *texts, value string) truth {
	switch {
	case t == nil:
		return yes
	case value == "":
		return unknown
	default:
		return truthOf(t.match(value))
	}
}
