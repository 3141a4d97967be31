package authz

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/internal/callcel"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// maxErrors bounds how many errors of a policy are reported.
const maxErrors = 20

// compiler compiles the rules of a policy and collects what is wrong with them.
type compiler struct {
	maxCost     uint64
	expressions *expressions // nil until a rule has one
	rules       int
	identity    bool // a rule reads the identity
	at          string
	errs        []error
	more        int // errors beyond maxErrors
}

func (c *compiler) fail(err error) {
	if len(c.errs) == maxErrors {
		c.more++
		return
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %w", c.at, err))
}

// failf reports what is wrong with a field.
func (c *compiler) failf(format string, args ...any) { c.fail(fmt.Errorf(format, args...)) }

// failure returns the errors so far.
func (c *compiler) failure() error {
	if c.more > 0 {
		c.errs = append(c.errs, fmt.Errorf("Policy has %d more errors", c.more))
		c.more = 0
	}
	return errors.Join(c.errs...)
}

// compile compiles the rules of a list, "Allow" or "Deny".
func (c *compiler) compile(list string, rules []Rule) index {
	ix := newIndex()
	names := make(map[string]int, len(rules))
	for i := range rules {
		place := fmt.Sprintf("%s[%d]", list, i)
		r := &rule{name: rules[i].Name, at: c.rules, deny: list == "Deny"}
		c.rules++
		if r.name == "" {
			r.name = place
		}
		c.at = "Policy." + place
		if rules[i].Name != "" {
			c.at = fmt.Sprintf("Policy.%s %.100q", place, r.name)
		}
		if len(r.name) > MaxValue {
			c.failf("Name has %d bytes; want at most %d", len(r.name), MaxValue)
		}
		if first, again := names[r.name]; again {
			c.failf("Name is that of %s[%d]; want a name once", list, first)
		}
		names[r.name] = i
		ix.add(r, c.fill(r, &rules[i]))
	}
	return ix
}

// fill compiles the fields of a rule and returns its patterns of methods.
func (c *compiler) fill(r *rule, source *Rule) pattern.Set {
	methods := c.methods(r, source)
	r.absentPasses = source.AbsentPasses
	if source.AbsentPasses && !r.deny {
		c.failf("AbsentPasses is set; want it in rules of Deny only")
	}
	id := identityMatch{
		subjects: c.texts("Subjects", source.Subjects, false),
		issuers:  c.texts("Issuers", source.Issuers, false),
		tenants:  c.texts("Tenants", source.Tenants, false),
		scopes:   c.texts("Scopes", source.Scopes, false),
		roles:    c.texts("Roles", source.Roles, false),
	}
	if id != (identityMatch{}) {
		r.identity, c.identity = &id, true
	}
	r.principals, r.unverified = c.texts("Principals", source.Principals, true), source.UnverifiedPrincipals
	if r.unverified && len(source.Principals) == 0 {
		c.failf("UnverifiedPrincipals is set without Principals")
	}
	c.metadata(r, source.Metadata)
	c.networks(r, source.ClientAddrs)
	c.expression(r, source, methods)
	return methods
}

func (c *compiler) methods(r *rule, source *Rule) pattern.Set {
	switch {
	case len(source.Methods) == 0 && len(source.Paths) == 0:
		c.failf(`it has no Methods; %s`, pattern.Want)
	case len(source.Methods) > 0 && len(source.Paths) > 0:
		c.failf("it has Methods and Paths; want one of them")
	case tooMany(c, "Methods", len(source.Methods)):
		return nil
	}
	r.paths = c.texts("Paths", source.Paths, false)
	for i, path := range source.Paths {
		if err := checkPath(path); err != nil {
			c.failf("Paths[%d]: %w", i, err)
		}
	}
	set := make(pattern.Set, 0, len(source.Methods))
	for _, text := range source.Methods {
		p, ok := pattern.Parse(text)
		if !ok || !plain(p.Package) || !plain(p.Service) || !plain(p.Name) {
			c.failf("Methods: bad pattern %.100q: %s", text, pattern.Want)
			continue
		}
		set = append(set, p)
	}
	return set
}

// plain reports whether a part of a pattern can be a name in protobuf. Other names, such as
// "!shop.v1.Cart", more likely mean something that patterns do not have. Paths names methods
// with such names.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20 // lower case
		if (c < 'a' || c > 'z') && !strings.ContainsRune("0123456789._-", rune(name[i])) {
			return false
		}
	}
	return true
}

// checkPath rejects patterns that match no method's full name.
func checkPath(path string) error {
	if path == "" || path[0] != '/' && path[0] != '*' {
		return fmt.Errorf(
			`%.100q matches no method; want "/package.Service/Method", "/package.*", "*/Method" or "*"`, path)
	}
	return nil
}

func tooMany(c *compiler, field string, n int) bool {
	if n > MaxValues {
		c.failf("%s has %d entries; want at most %d", field, n, MaxValues)
	}
	return n > MaxValues
}

// texts compiles the patterns of a field. It returns nil if the field is not set.
func (c *compiler) texts(field string, patterns []string, empty bool) *texts {
	if patterns == nil || tooMany(c, field, len(patterns)) {
		return nil
	}
	if len(patterns) == 0 {
		c.failf("%s is an empty list, which matches nothing; leave it out or add a value", field)
		return nil
	}
	t, err := parseTexts(patterns, empty)
	if err != nil {
		c.failf("%s%w", field, err)
	}
	return t
}

func (c *compiler) metadata(r *rule, matches []MetadataMatch) {
	if tooMany(c, "Metadata", len(matches)) {
		return
	}
	for i, m := range matches {
		field := fmt.Sprintf("Metadata[%d]", i)
		key := strings.ToLower(m.Key)
		if err := callcel.CheckKey(key); err != nil {
			c.failf("%s.Key is %.100q, %w", field, m.Key, err)
		}
		if len(m.Values) == 0 {
			c.failf(`%s.Values has no value; want one, "*" for any`, field)
			continue
		}
		r.metadata = append(r.metadata, metadataMatch{key, c.texts(field+".Values", m.Values, true)})
	}
}

func (c *compiler) networks(r *rule, texts []string) {
	if texts != nil && len(texts) == 0 {
		c.failf("ClientAddrs is an empty list, which matches nothing; leave it out or add a network")
	}
	if tooMany(c, "ClientAddrs", len(texts)) {
		return
	}
	for i, text := range texts {
		n, err := callcel.ParseNetwork(text)
		if err != nil {
			c.failf("ClientAddrs[%d]: %w", i, err)
			continue
		}
		r.networks = append(r.networks, n)
	}
}

func (c *compiler) expression(r *rule, source *Rule, methods pattern.Set) {
	if source.When == "" {
		if source.Request {
			c.failf("Request is set without When; want an expression that uses the request")
		}
		return
	}
	if c.expressions == nil {
		c.expressions = newExpressions(c.maxCost)
	}
	e, err := c.expressions.compile(source.When, source.Request, methods)
	if err != nil {
		c.failf("When: %w", err)
		return
	}
	r.when = e
	c.identity = c.identity || e.identity
}
