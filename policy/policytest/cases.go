package policytest

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// The bounds of a file.
const (
	MaxCalls = 10_000 // times that a call is made
	MaxCases = 10_000 // of a file
	maxDepth = 64     // values inside each other
)

// The methods of an identity.
const (
	MethodJWT    = "jwt"
	MethodMTLS   = "mtls"
	MethodAPIKey = "api key"
)

// Call is a call that is made.
type Call struct {
	// Method is the method, "/shop.v1.Cart/Get".
	Method string
	// Kind is the kind of the method, if HasKind is set. Otherwise it is what the descriptors say, or unary.
	Kind    hauberk.Kind
	HasKind bool
	// Identity is the caller, or nil if the call has no credential. Its Method is "jwt", "mtls" or "api key", or "" if
	// the identity is in place of what authn verifies.
	Identity *hauberk.Identity
	Metadata metadata.MD
	// Peer is the address of the client's connection. The default is 127.0.0.1:1.
	Peer netip.AddrPort
	// Time is the time of the call. The zero value is that of the call before it.
	Time time.Time
	// Message is the request in JSON, or nil for an empty one.
	Message json.RawMessage
	// Calls is how many times the call is made, at least 1.
	Calls int
	// Upstream are the codes of the successive calls that reach the service. nil is OK for all.
	Upstream []codes.Code
}

// Want is an expected outcome.
type Want struct {
	Code codes.Code
	// Reason is the reason of the rejection, if HasReason is set.
	Reason    string
	HasReason bool
	// Attempts is how many calls reach the service because of the last call, or -1 if they are not compared.
	Attempts int
}

// Case is a call and its expected outcome.
type Case struct {
	Call

	// Name describes the case, and Line is its line in the file.
	Name   string
	Line   int
	Before []Call
	Want   Want
}

// AllCalls returns the calls of the case in order, with the one of the case as the last.
func (c *Case) AllCalls() []*Call {
	all := make([]*Call, 0, len(c.Before)+1)
	for i := range c.Before {
		all = append(all, &c.Before[i])
	}
	return append(all, &c.Call)
}

// Load reads a file. It must be a regular file of at most 1 MiB. See [Parse].
func Load(path string) ([]Case, error) {
	data, err := yamlfile.Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads a file of cases. name is the name of the file, for errors. The error lists everything that is wrong,
// a line each.
func Parse(name string, data []byte) ([]Case, error) {
	file := yamlfile.ParseDepth(name, data, maxDepth)
	root := file.Root()
	var cases []Case
	names := make(map[string]bool)
	root.Map("the file", map[string]func(yamlfile.Value){
		"version": func(v yamlfile.Value) { v.Int("version", 1, 1) },
		"cases": func(v yamlfile.Value) {
			if n := len(v.Items()); n > MaxCases {
				v.Errorf("cases has %d elements; want at most %d", n, MaxCases)
				return
			}
			v.List("cases", func(v yamlfile.Value) {
				c := readCase(v)
				if _, named := v.Get("name"); named && names[c.Name] {
					v.Errorf("the name %.100q is that of an earlier case", c.Name)
				}
				names[c.Name] = true
				cases = append(cases, c)
			})
		},
	})
	if len(cases) == 0 && !root.Failed() {
		root.Errorf("the file has no cases; want a list of at least one, each with method and want")
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
	v.Map("a case", fields)
	c.require(v, "a case")
	if c.Name == "" {
		c.Name = strings.TrimPrefix(c.Method, "/")
	}
	return c
}

func (w *Want) read(v yamlfile.Value) {
	if v.Kind() == yamlfile.Scalar {
		w.Code = code(v, "want")
		return
	}
	v.Map("want", map[string]func(yamlfile.Value){
		"code": func(v yamlfile.Value) { w.Code = code(v, "code") },
		"reason": func(v yamlfile.Value) {
			if w.HasReason = true; v.Kind() == yamlfile.Scalar && v.Type() == "str" {
				w.Reason = v.Raw()
			} else {
				v.Errorf(`reason is %s; want a text, or "" for none`, v.Describe())
			}
		},
		"attempts": func(v yamlfile.Value) {
			if n, ok := v.Int("attempts", 0, MaxCalls); ok {
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
		Peer:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1),
		Calls:    1,
		Metadata: metadata.MD{},
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
			if !methodName.MatchString(v.Raw()) {
				v.Errorf("method is %s; want one such as shop.v1.Cart/Get", v.Describe())
			}
			c.Method = "/" + strings.TrimPrefix(v.Raw(), "/")
		},
		"kind": func(v yamlfile.Value) {
			kinds := []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
			names := make([]string, len(kinds))
			for i, k := range kinds {
				names[i] = k.String()
			}
			if i, ok := v.OneOf("kind", names...); ok {
				c.Kind, c.HasKind = kinds[i], true
			}
		},
		"identity": func(v yamlfile.Value) { c.Identity = readIdentity(v) },
		"metadata": func(v yamlfile.Value) { readMetadata(v, c.Metadata) },
		"peer":     func(v yamlfile.Value) { c.Peer = readPeer(v) },
		"time": func(v yamlfile.Value) {
			var err error
			if c.Time, err = time.Parse(time.RFC3339Nano, v.Raw()); err != nil {
				v.Errorf("time is %s; want one such as 2026-01-01T12:00:00Z", v.Describe())
			}
		},
		"message": func(v yamlfile.Value) { c.Message = readMessage(v) },
		"calls": func(v yamlfile.Value) {
			if n, ok := v.Int("calls", 1, MaxCalls); ok {
				c.Calls = n
			}
		},
		"upstream": func(v yamlfile.Value) {
			c.Upstream = nil
			if v.Kind() == yamlfile.Scalar {
				c.Upstream = []codes.Code{code(v, "upstream")}
				return
			}
			v.List("upstream", func(v yamlfile.Value) { c.Upstream = append(c.Upstream, code(v, "upstream")) })
			if c.Upstream == nil {
				v.Errorf("upstream has no codes; want a list such as [UNAVAILABLE, OK]")
			}
		},
	}
}
