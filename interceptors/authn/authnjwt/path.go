package authnjwt

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// claimPath is the place of a claim. The zero value is none.
type claimPath struct {
	text  string   // of the setting
	names []string // of the claim and of members of objects, from the outside
}

var (
	errEmptyName = errors.New(`it has an empty name between dots; want \. for a dot within a name`)
	errEscape    = errors.New(`it has a \ that no dot and no other \ follows; want \. or \\`)
)

// parseClaimPath parses the name of a claim, as [Config] explains it.
func parseClaimPath(text string) (claimPath, error) {
	p := claimPath{text: text}
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '.':
			p.names = append(p.names, name.String())
			name.Reset()
		case '\\':
			i++
			if i == len(text) || text[i] != '.' && text[i] != '\\' {
				return p, errEscape
			}
			name.WriteByte(text[i])
		default:
			name.WriteByte(c)
		}
	}
	p.names = append(p.names, name.String())
	if slices.Contains(p.names, "") {
		return p, errEmptyName
	}
	return p, nil
}

// in returns the claim, and whether there is one. A claim whose name is the whole text wins.
func (p claimPath) in(claims map[string]any) (value any, has bool, err error) {
	if p.text == "" {
		return nil, false, nil
	}
	if value, has = claims[p.text]; has {
		return value, true, nil
	}
	at := claims
	for i, name := range p.names {
		if value, has = at[name]; !has || i == len(p.names)-1 {
			return value, has, nil
		}
		if value == nil {
			return nil, false, nil
		}
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false, invalid(ErrClaims, "%s goes through a claim that is not an object", p)
		}
		at = object
	}
	return nil, false, nil
}

// String returns the text of the setting, quoted.
func (p claimPath) String() string { return strconv.Quote(p.text) }

// claimPaths are the places of the claims that the settings name.
type claimPaths struct {
	subject, tenant, roles, audience claimPath
	required                         []requiredClaim
	exact                            bool // a required claim has allowed values
}

type requiredClaim struct {
	claimPath
	allowed []string
}

// parsePaths parses the names of claims in the settings.
func (v *Validator) parsePaths() {
	c := v.config
	path := func(setting, text string) claimPath {
		p, err := parseClaimPath(text)
		if err != nil {
			v.failf("Config.%s is %q: %w", setting, text, err)
		}
		return p
	}
	for _, s := range []struct {
		setting, text string
		to            *claimPath
	}{
		{"SubjectClaim", c.SubjectClaim, &v.paths.subject},
		{"TenantClaim", c.TenantClaim, &v.paths.tenant},
		{"RolesClaim", c.RolesClaim, &v.paths.roles},
		{"AudienceClaim", c.AudienceClaim, &v.paths.audience},
	} {
		if s.text != "" {
			*s.to = path(s.setting, s.text)
		}
	}
	for name, allowed := range c.RequiredClaims {
		v.paths.required = append(v.paths.required, requiredClaim{path("RequiredClaims", name), allowed})
		v.paths.exact = v.paths.exact || len(allowed) > 0
	}
}
