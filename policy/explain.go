package policy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hauberk-rpc/hauberk"
)

// Explanation is what a policy does with the calls of one method.
type Explanation struct {
	// Method is the method, "/shop.v1.Cart/Get".
	Method string
	// Public reports whether the server admits its calls without authentication.
	Public bool
	// Server and Client are the entries of the two chains in order, outermost first, with those that do not run.
	Server, Client []Step
}

// Step is an entry of a policy in an [Explanation].
type Step struct {
	Entry

	// Runs reports whether the entry runs for the method.
	Runs bool
	// Why says why it runs or not, and how.
	Why string
	// Warning is what is unusual about it, or "".
	Warning string
}

// Explain returns for a method, such as "shop.v1.Cart/Get", which entries run, in which order and why. A leading slash
// is optional; a name of another form is an error.
func (p *Policy) Explain(method string) (*Explanation, error) {
	server, err := p.server.Explain(method)
	if err != nil {
		return nil, fmt.Errorf("%.200q is not a method; want one such as shop.v1.Cart/Get", method)
	}
	client, err := p.client.Explain(method)
	if err != nil {
		return nil, err
	}
	return &Explanation{
		Method: server.Method, Public: server.Public,
		Server: p.steps(hauberk.ServerSide, server), Client: p.steps(hauberk.ClientSide, client),
	}, nil
}

// steps returns the entries of a side. The steps of its chain are those of its entries that are not off.
func (p *Policy) steps(side hauberk.Side, e *hauberk.Explanation) (all []Step) {
	next := 0
	for i := range p.entries {
		entry := &p.entries[i]
		switch {
		case entry.Side != side:
		case entry.Interceptor == nil:
			all = append(all, Step{Entry: *entry, Why: "its mode is off"})
		default:
			step := e.Steps[next]
			next++
			all = append(all, Step{Entry: *entry, Runs: step.Runs, Why: inKeys(step.Why), Warning: step.Warning})
		}
	}
	return all
}

// scopeOf is how a reason of a chain names a scope.
var scopeOf = regexp.MustCompile(
	`(not )?matched by (For|Except)\(([^)]*)\)`)

// inKeys replaces the functions of Go in a reason by the keys of the file.
func inKeys(why string) string {
	return scopeOf.ReplaceAllStringFunc(why, func(match string) string {
		m := scopeOf.FindStringSubmatch(match)
		key, not := "methods", m[1] != ""
		if m[2] == "Except" {
			key, not = "except", !not
		}
		in := "in "
		if not {
			in = "not in "
		}
		return in + key + ": [" + strings.ReplaceAll(m[3], `"`, "") + "]"
	})
}
