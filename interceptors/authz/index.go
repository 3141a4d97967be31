package authz

import (
	"cmp"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// index finds the rules that name a method, among many. Its keys are those of the patterns:
// a pattern that names a method is found by the method's full name, by its service, or by
// one of the packages that it is in.
type index struct {
	methods  map[[2]string][]*rule // by service and name
	services map[string][]*rule
	packages map[string][]*rule
	all      []*rule // with the pattern "*"
	paths    []*rule // with Paths
	// unclear are the rules for names that are not well-formed, such as "/shop.v1.Cart/Get;x": a server or proxy
	// may read them as those of another method. Patterns of Allow except "*" do not match them, and rules of
	// Deny with any pattern do.
	unclear []*rule
}

func newIndex() index {
	return index{
		methods: make(map[[2]string][]*rule), services: make(map[string][]*rule), packages: make(map[string][]*rule),
	}
}

// add adds a rule under its patterns.
func (ix *index) add(r *rule, methods pattern.Set) {
	if r.paths != nil {
		ix.paths = append(ix.paths, r)
	}
	if r.deny && len(methods) > 0 {
		ix.unclear = append(ix.unclear, r)
	}
	for _, p := range methods {
		switch {
		case p.Package != "":
			ix.packages[p.Package] = append(ix.packages[p.Package], r)
		case p.Service == "":
			ix.all = append(ix.all, r)
			ix.unclear = append(ix.unclear, r)
		case p.Name == "":
			ix.services[p.Service] = append(ix.services[p.Service], r)
		default:
			key := [2]string{p.Service, p.Name}
			ix.methods[key] = append(ix.methods[key], r)
		}
	}
}

// rules returns the rules that name a method, in the order of the policy.
func (ix *index) rules(m *hauberk.Method) []*rule {
	return ix.named(m.FullName(), m.Service(), m.Name())
}

// named is rules for the names of a method.
func (ix *index) named(full, service, name string) []*rule {
	var found []*rule
	if pattern.WellFormed(service, name) {
		found = slices.Concat(ix.all, ix.services[service], ix.methods[[2]string{service, name}])
		for at, c := range []byte(service) {
			if c == '.' && at < len(service)-1 {
				found = append(found, ix.packages[service[:at]]...)
			}
		}
	} else {
		found = slices.Clone(ix.unclear)
	}
	for _, r := range ix.paths {
		if r.paths.match(full) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *rule) int { return cmp.Compare(a.at, b.at) })
	return slices.Compact(found)
}

// list is the rules that name a method.
type list struct {
	deny, allow               []*rule // those that do not need the request
	denyRequest, allowRequest []*rule
}

func newList(deny, allow []*rule) *list {
	l := new(list)
	l.deny, l.denyRequest = split(deny)
	l.allow, l.allowRequest = split(allow)
	return l
}

// split separates the rules that need the request. Expressions come last of each, since
// they cost more than other fields.
func split(rules []*rule) (without, with []*rule) {
	slices.SortStableFunc(rules, func(a, b *rule) int { return cmp.Compare(a.order(), b.order()) })
	at := slices.IndexFunc(rules, func(r *rule) bool { return r.when.needsRequest() })
	if at < 0 {
		return rules, nil
	}
	return rules[:at:at], rules[at:]
}
