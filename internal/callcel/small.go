package callcel

import (
	"slices"

	"github.com/hauberk-rpc/hauberk"
)

// What the estimate of costs assumes about what a call brings: lists and maps of at most maxEntries
// entries, and texts of at most maxText bytes. An expression costs a call within these bounds no more
// than estimated, so that its cost need not be counted.
const (
	maxEntries = 100
	maxText    = 1024
	maxClaims  = 1000 // parts of the claims that are looked at
	maxLevels  = 8
)

// uses is what an expression uses of that which has no fixed size.
type uses struct{ identity, claims, metadata bool }

// size is whether something is within the bounds. The zero value is that it is not known yet.
type size uint8

const (
	small size = iota + 1
	large
)

func sizeOf(within bool) size {
	if within {
		return small
	}
	return large
}

// isSmall reports whether what an expression uses of the call is within the bounds.
func (v *Variables) isSmall(u uses) bool {
	if len(v.Call.Method().FullName()) > maxText {
		return false
	}
	if u.identity && v.identitySize == 0 {
		v.identitySize = sizeOf(v.Identity == nil || smallIdentity(v.Identity))
	}
	if u.claims && v.claimsSize == 0 {
		parts := 0
		v.claimsSize = sizeOf(v.Identity == nil || smallClaim(v.Identity.Claims, &parts, 0))
	}
	if u.metadata && v.metadataSize == 0 {
		v.metadataSize = sizeOf(v.smallMetadata())
	}
	return (!u.identity || v.identitySize == small) && (!u.claims || v.claimsSize == small) &&
		(!u.metadata || v.metadataSize == small)
}

func smallTexts(texts []string) bool {
	return len(texts) <= maxEntries && !slices.ContainsFunc(texts, func(s string) bool { return len(s) > maxText })
}

func smallIdentity(id *hauberk.Identity) bool {
	return len(id.Subject) <= maxText && len(id.Issuer) <= maxText && len(id.Tenant) <= maxText &&
		len(id.Method) <= maxText && smallTexts(id.Scopes) && smallTexts(id.Roles)
}

func (v *Variables) smallMetadata() bool {
	if v.Keys != nil {
		for _, values := range v.someMetadata() {
			if texts, _ := values.([]string); !smallTexts(texts) {
				return false
			}
		}
		return true
	}
	md := v.allMetadata()
	for key, values := range md {
		if len(key) > maxText || !smallTexts(values) {
			return false
		}
	}
	return len(md) <= maxEntries
}

// smallClaim reports whether a claim has the types of JSON and is within the bounds.
func smallClaim(claim any, parts *int, level int) bool {
	*parts++
	if *parts > maxClaims || level > maxLevels {
		return false
	}
	switch claim := claim.(type) {
	case nil, bool, float64, int, int64, uint64:
		return true
	case string:
		return len(claim) <= maxText
	case []string:
		return smallTexts(claim)
	case []any:
		return len(claim) <= maxEntries &&
			!slices.ContainsFunc(claim, func(c any) bool { return !smallClaim(c, parts, level+1) })
	case map[string]any:
		for key, c := range claim {
			if len(key) > maxText || !smallClaim(c, parts, level+1) {
				return false
			}
		}
		return len(claim) <= maxEntries
	default:
		return false
	}
}
