package hauberk

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
)

// Coverage is the matrix of methods and interceptors.
type Coverage struct {
	Interceptors []string // the columns: the interceptors that enforce something, in their order
	Rows         []CoverageRow
	// Authenticates says that some interceptor of the chain authenticates.
	Authenticates bool
}

// CoverageRow is one method of a [Coverage].
type CoverageRow struct {
	Method        string
	Runs          []bool // by column
	Authenticated bool
	Public        bool
}

// Coverage tells for each method of a server's services which interceptors run, as
// (*grpc.Server).GetServiceInfo lists them. Interceptors in [Shadow] count as absent, and
// so do those under a [When], except that one that authenticates makes the chain
// one that does.
func (c *Chain) Coverage(services map[string]grpc.ServiceInfo) *Coverage {
	c.check("Coverage")
	cov := &Coverage{}
	var entries []*entry
	for _, l := range c.entries {
		cov.Authenticates = cov.Authenticates || l.decl.Authenticates
		if !l.shadow && len(l.conditions) == 0 {
			entries = append(entries, l)
			cov.Interceptors = append(cov.Interceptors, l.decl.Name)
		}
	}
	for service, info := range services {
		for _, method := range info.Methods {
			m := &Method{full: "/" + service + "/" + method.Name, service: service, name: method.Name}
			cov.Rows = append(cov.Rows, c.cover(m, entries))
		}
	}
	slices.SortFunc(cov.Rows, func(a, b CoverageRow) int { return strings.Compare(a.Method, b.Method) })
	return cov
}

func (c *Chain) cover(m *Method, entries []*entry) CoverageRow {
	row := CoverageRow{Method: m.full, Public: c.isPublic(m)}
	for _, l := range entries {
		runs := l.appliesTo(m)
		row.Runs = append(row.Runs, runs)
		row.Authenticated = row.Authenticated || runs && l.decl.Authenticates
	}
	return row
}

func (c *Chain) isPublic(m *Method) bool {
	return slices.ContainsFunc(c.public, func(p pattern) bool { return p.Matches(m.service, m.name) })
}

// Err names the methods that are neither authenticated nor declared [Public], if
// the chain authenticates anything; else it is nil.
func (cov *Coverage) Err() error {
	if !cov.Authenticates {
		return nil
	}
	var open []string
	for _, row := range cov.Rows {
		if !row.Authenticated && !row.Public {
			open = append(open, row.Method)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("hauberk: the chain authenticates calls, but not those of %s: "+
		"authenticate them or declare them with hauberk.Public", strings.Join(open, ", "))
}

// String writes the matrix as text, a line a method.
func (cov *Coverage) String() string {
	var b strings.Builder
	if !cov.Authenticates {
		b.WriteString("this chain has no authentication\n")
	}
	for _, row := range cov.Rows {
		fmt.Fprintf(&b, "%s: %s\n", row.Method, cov.describe(row))
	}
	return b.String()
}

func (cov *Coverage) describe(row CoverageRow) string {
	var parts []string
	for i, runs := range row.Runs {
		if runs {
			parts = append(parts, cov.Interceptors[i])
		}
	}
	if row.Public {
		parts = append(parts, "(public)")
	}
	if cov.Authenticates && !row.Authenticated && !row.Public {
		parts = append(parts, "(UNGUARDED)")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " ")
}
