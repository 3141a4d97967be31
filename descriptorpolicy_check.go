package hauberk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check returns what is wrong with the policy of a method, all at once.
func (m *MethodPolicy) check() error {
	errs := []error{
		m.checkPublic(), checkNames("roles", m.Roles), checkNames("scopes", m.Scopes),
	}
	if m.Deadline < 0 {
		errs = append(errs, fmt.Errorf("deadline is %v; want more than 0, or none", m.Deadline))
	}
	for i, l := range m.Limits {
		if err := l.check(); err != nil {
			errs = append(errs, fmt.Errorf("limits[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// checkPublic checks that what needs an identity is not asked of the callers of a public method.
func (m *MethodPolicy) checkPublic() error {
	if !m.Public {
		return nil
	}
	var errs []error
	contradicts := func(what string, names []string) {
		if len(names) > 0 {
			errs = append(errs, fmt.Errorf("public is true and %s are %q; want one of them", what, names))
		}
	}
	contradicts("roles", m.Roles)
	contradicts("scopes", m.Scopes)
	for i, l := range m.Limits {
		if l.By.byIdentity() {
			errs = append(errs, fmt.Errorf("public is true and limits[%d] is by %s, "+
				"which callers of a public method need not have; want peer or global", i, l.By))
		}
	}
	return errors.Join(errs...)
}

// byIdentity reports whether calls are counted by their identity.
func (b LimitBy) byIdentity() bool { return b == LimitByUser || b == LimitByTenant }

func checkNames(what string, names []string) error {
	var errs []error
	for i, name := range names {
		switch {
		case name == "" || strings.TrimSpace(name) != name:
			errs = append(errs, fmt.Errorf("%s[%d] is %q; want a name without spaces around it", what, i, name))
		case slices.Contains(names[:i], name):
			errs = append(errs, fmt.Errorf("%s has %q twice", what, name))
		}
	}
	return errors.Join(errs...)
}

func (l MethodLimit) check() error {
	var errs []error
	if l.Count < 1 {
		errs = append(errs, fmt.Errorf("count is %d; want at least 1", l.Count))
	}
	if l.Per <= 0 {
		errs = append(errs, fmt.Errorf("per is %v; want more than 0", l.Per))
	}
	if l.By < LimitByPeer || l.By > LimitByGlobal {
		errs = append(errs, fmt.Errorf("by is %s; want peer, user, tenant or global", l.By))
	}
	return errors.Join(errs...)
}
