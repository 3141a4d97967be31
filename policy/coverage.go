package policy

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
)

// Access is how callers of a method are admitted.
type Access uint8

// The values of Access.
const (
	Unprotected   Access = iota // anyone is admitted, and public does not say so
	Public                      // public says that anyone is admitted
	Authenticated               // an entry that is in force authenticates callers
)

// String returns the name: "authenticated".
func (a Access) String() string {
	switch a {
	case Unprotected:
		return "open"
	case Public:
		return "public"
	case Authenticated:
		return "authenticated"
	default:
		return fmt.Sprintf("Access(%d)", uint8(a))
	}
}

// Coverage is the matrix of the methods of services and the entries of the server.
type Coverage struct {
	// Entries are the columns, in the order of the chain.
	Entries []Entry
	Rows    []CoverageRow
	// Problems are patterns that match no method, and settings that do not fit the methods.
	Problems []string
}

// CoverageRow is a method of a [Coverage].
type CoverageRow struct {
	// Method is the method, "/shop.v1.Cart/Get".
	Method string
	Access Access
	// NoRule is set if the chain has rules about methods, and none of them can admit calls of this one, which is
	// authenticated.
	NoRule bool
	// Runs says by column whether the entry runs for the method, in any mode but off.
	Runs []bool
}

// Coverage returns for each method of services which entries of the server run, and whether callers are
// authenticated. Entries in the mode shadow or off do not authenticate.
func (p *Policy) Coverage(services ...protoreflect.ServiceDescriptor) *Coverage {
	matrix := p.server.Coverage(infoOf(services))
	cov := &Coverage{Problems: slices.Concat(matrix.Unmatched, matrix.Invalid)}
	for i, text := range cov.Problems[:len(matrix.Unmatched)] {
		cov.Problems[i] = text + " matches no method"
	}
	for i := range p.entries {
		if e := &p.entries[i]; e.Side == hauberk.ServerSide {
			cov.Entries = append(cov.Entries, *e)
		}
	}
	withoutRule := matrix.WithoutRule()
	for _, row := range matrix.Rows {
		r := CoverageRow{Method: row.Method, NoRule: slices.Contains(withoutRule, row.Method)}
		switch {
		case row.Public:
			r.Access = Public
		case row.Authenticated:
			r.Access = Authenticated
		}
		if e, err := p.Explain(row.Method); err == nil {
			for i := range e.Server {
				r.Runs = append(r.Runs, e.Server[i].Runs)
			}
		}
		cov.Rows = append(cov.Rows, r)
	}
	return cov
}

// Err returns an error that lists the methods that are neither authenticated nor public, and the problems, a line
// each. It returns nil if there are none. Unlike [hauberk.Coverage.Err] it reports open methods of a chain without
// authentication, too.
func (c *Coverage) Err() error {
	var lines []string
	for _, row := range c.Rows {
		if row.Access == Unprotected {
			lines = append(lines, strings.TrimPrefix(row.Method, "/")+
				" is neither authenticated nor public; want an entry authn that runs for it, or the method in public")
		}
	}
	if lines = append(lines, c.Problems...); len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// infoOf returns services as a server describes them.
func infoOf(services []protoreflect.ServiceDescriptor) map[string]grpc.ServiceInfo {
	all := make(map[string]grpc.ServiceInfo, len(services))
	for _, s := range services {
		var info grpc.ServiceInfo
		methods := s.Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			info.Methods = append(info.Methods, grpc.MethodInfo{
				Name: string(m.Name()), IsClientStream: m.IsStreamingClient(), IsServerStream: m.IsStreamingServer(),
			})
		}
		all[string(s.FullName())] = info
	}
	return all
}
