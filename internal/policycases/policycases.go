package policycases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// DefaultPeer is the address of a client's connection if a call names none. It is reserved for documentation.
const DefaultPeer = "203.0.113.7:50000"

// The bounds of a file.
const (
	maxDepth   = 32
	maxCases   = 10_000
	maxRepeats = 10_000
)

// Kind is the kind of a call.
type Kind int

// The kinds, by the names in Kinds.
const (
	Unary Kind = iota
	ClientStream
	ServerStream
	BidiStream
)

// kinds are the names of the kinds in a file.
func kinds() []string { return []string{"unary", "client_stream", "server_stream", "bidi_stream"} }

// String returns the name in a file.
func (k Kind) String() string { return kinds()[k] }

// Identity is the caller of a call.
type Identity struct {
	Subject, Issuer, Tenant string
	// Method is how the identity is proved: "jwt", "mtls" or "api key".
	Method        string
	Scopes, Roles []string
	Claims        map[string]any
}

// Call is a call that is made.
type Call struct {
	// Method is the method, "/shop.v1.Cart/Get".
	Method string
	Kind   Kind
	// Identity is nil for a call without a credential.
	Identity *Identity
	Metadata map[string][]string
	Peer     netip.AddrPort
	// Time is zero if the call may begin at any time.
	Time time.Time
	// Message is the first request message as JSON, nil if it does not matter.
	Message []byte
	Repeat  int
	// Upstream are the codes of successive calls that reach the service. It is not empty.
	Upstream []codes.Code
}

// Want is an expected outcome.
type Want struct {
	Code   codes.Code
	Reason string
	// Attempts is how many calls reach the service because of the call, or -1 if they are not compared.
	Attempts int
}

// Case is a call with its expected outcome.
type Case struct {
	Call

	Name   string
	Line   int
	Before []Call
	Want   Want
}

// Load reads a file. See [Parse].
func Load(path string) ([]Case, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s:1:1: %w", path, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s:1:1: it is not a regular file", path)
	case info.Size() > yamlfile.MaxSize:
		return nil, fmt.Errorf("%s:1:1: the file has %d bytes; want at most %d", path, info.Size(), yamlfile.MaxSize)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s:1:1: %w", path, errors.Unwrap(err))
	}
	return Parse(path, data)
}

// Parse reads the cases of a file. name is the name of the file in errors. The error lists everything that is wrong, a
// line each.
func Parse(name string, data []byte) ([]Case, error) {
	file := yamlfile.ParseDepth(name, data, maxDepth)
	root := file.Root()
	var cases []Case
	names := make(map[string]bool)
	root.Map("the file", map[string]func(yamlfile.Value){
		"version": func(v yamlfile.Value) { v.Int("version", 1, 1) },
		"cases": func(v yamlfile.Value) {
			if n := len(v.Items()); n > maxCases {
				v.Errorf("cases has %d elements; want at most %d", n, maxCases)
				return
			}
			v.List("cases", func(v yamlfile.Value) {
				c := readCase(v)
				if c.Name != "" && names[c.Name] {
					v.Errorf("the name %.100q is that of an earlier case", c.Name)
				}
				names[c.Name] = true
				cases = append(cases, c)
			})
		},
	})
	if _, ok := root.Get("version"); !ok {
		root.Errorf("the file has no version; want version: 1")
	}
	if _, ok := root.Get("cases"); !ok || ok && cases == nil && !root.Failed() {
		root.Errorf("the file has no cases")
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return cases, nil
}

// readCase reads a case.
func readCase(v yamlfile.Value) Case {
	c := Case{Call: newCall(), Want: Want{Attempts: -1}}
	c.Line, _ = v.Place()
	fields := c.fields()
	fields["name"] = text("name", &c.Name)
	fields["before"] = func(v yamlfile.Value) {
		v.List("before", func(v yamlfile.Value) {
			call := newCall()
			v.Map("a call of before", call.fields())
			call.require(v, "a call of before")
			c.Before = append(c.Before, call)
		})
	}
	fields["want"] = c.Want.read
	v.Map("the case", fields)
	c.require(v, "the case")
	if _, ok := v.Get("name"); !ok {
		v.Errorf("the case has no name")
	}
	return c
}

func (w *Want) read(v yamlfile.Value) {
	v.Map("want", map[string]func(yamlfile.Value){
		"code":   func(v yamlfile.Value) { w.Code = code(v) },
		"reason": text("reason", &w.Reason),
		"attempts": func(v yamlfile.Value) {
			if n, ok := v.Int("attempts", 0, maxRepeats); ok {
				w.Attempts = n
			}
		},
	})
}

// methodName is the form of a method. A slash before it is optional.
var methodName = regexp.MustCompile(
	`^/?[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*$`)

func newCall() Call {
	return Call{
		Peer: netip.MustParseAddrPort(DefaultPeer), Repeat: 1, Upstream: []codes.Code{codes.OK},
		Metadata: make(map[string][]string),
	}
}

// require reports a call without a method.
func (c *Call) require(v yamlfile.Value, what string) {
	if _, ok := v.Get("method"); v.Kind() == yamlfile.Mapping && !ok {
		v.Errorf("%s has no method; want one such as shop.v1.Cart/Get", what)
	}
}

// fields are the keys that all calls have.
func (c *Call) fields() map[string]func(yamlfile.Value) {
	return map[string]func(yamlfile.Value){
		"method": func(v yamlfile.Value) {
			name, ok := v.Text("method")
			if ok && !methodName.MatchString(name) {
				v.Errorf("method is %.100q; want one such as shop.v1.Cart/Get", name)
			}
			c.Method = "/" + strings.TrimPrefix(name, "/")
		},
		"kind": func(v yamlfile.Value) {
			if i, ok := v.OneOf("kind", kinds()...); ok {
				c.Kind = Kind(i)
			}
		},
		"identity": func(v yamlfile.Value) { c.Identity = identity(v) },
		"metadata": func(v yamlfile.Value) { c.Metadata = metadata(v) },
		"peer": func(v yamlfile.Value) {
			name, ok := v.Text("peer")
			peer, err := netip.ParseAddrPort(name)
			if ok && err != nil {
				v.Errorf("peer is %.100q; want an address with a port, such as %s", name, DefaultPeer)
			}
			c.Peer = peer
		},
		"time": func(v yamlfile.Value) {
			name, ok := v.Text("time")
			at, err := time.Parse(time.RFC3339Nano, name)
			if ok && err != nil {
				v.Errorf("time is %.100q; want a time such as 2026-01-31T12:00:00Z", name)
			}
			c.Time = at
		},
		"message": func(v yamlfile.Value) { c.Message = message(v) },
		"repeat": func(v yamlfile.Value) {
			if n, ok := v.Int("repeat", 1, maxRepeats); ok {
				c.Repeat = n
			}
		},
		"upstream": func(v yamlfile.Value) {
			c.Upstream = nil
			if v.Kind() == yamlfile.Scalar {
				c.Upstream = append(c.Upstream, code(v))
				return
			}
			v.List("upstream", func(v yamlfile.Value) { c.Upstream = append(c.Upstream, code(v)) })
			if c.Upstream == nil {
				v.Errorf("upstream has no codes; want a list such as [UNAVAILABLE, OK]")
			}
		},
	}
}

// code reads the name of a status code.
func code(v yamlfile.Value) codes.Code {
	name, ok := v.Text("code")
	if !ok {
		return codes.Unknown
	}
	c, ok := codename.Parse(name)
	if !ok {
		v.Errorf("code is %.100q; want the name of a status code, such as PERMISSION_DENIED", name)
	}
	return c
}
