package policytest

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// MaxCalls is the greatest number of calls of a case.
const MaxCalls = 10_000

// Case is a call and the verdict that is expected.
type Case struct {
	// Name describes the case, and Line is its line in the file.
	Name string
	Line int
	// Method is the method, "shop.v1.Cart/Get".
	Method string
	// Identity is the verified identity of the caller, or nil.
	Identity *hauberk.Identity
	Metadata metadata.MD
	// Peer is the address of the peer. The default is 127.0.0.1.
	Peer netip.Addr
	// Time is the time of the calls. The default is the current one.
	Time time.Time
	// Message is the request in JSON, or nil for an empty one.
	Message json.RawMessage
	// Calls is how many calls are made. The default is 1.
	Calls int
	// Code and Reason are expected of the last call. An empty Reason is not compared.
	Code   codes.Code
	Reason string
}

// Parse reads a file of cases. name is the name of the file, for errors. The error lists everything that is wrong,
// a line each.
func Parse(name string, data []byte) ([]Case, error) {
	file := yamlfile.Parse(name, data)
	var cases []Case
	root, found := file.Root(), false
	root.Map("the file", map[string]func(yamlfile.Value){"cases": func(v yamlfile.Value) {
		found = true
		v.List("cases", func(v yamlfile.Value) { cases = append(cases, readCase(v)) })
	}})
	if !found || len(cases) == 0 {
		root.Errorf("the file has no cases; want a list of at least one, each with method and want")
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return cases, nil
}

func readCase(v yamlfile.Value) Case {
	c := Case{Peer: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Calls: 1, Metadata: metadata.MD{}}
	c.Line, _ = v.Place()
	text := func(key string, to *string) func(yamlfile.Value) {
		return func(v yamlfile.Value) { *to, _ = v.Text(key) }
	}
	wanted := false
	v.Map("a case", map[string]func(yamlfile.Value){
		"name":   text("name", &c.Name),
		"method": func(v yamlfile.Value) { readMethod(v, &c) },
		"identity": func(v yamlfile.Value) {
			c.Identity = readIdentity(v)
		},
		"metadata": func(v yamlfile.Value) { readMetadata(v, c.Metadata) },
		"peer": func(v yamlfile.Value) {
			var err error
			if c.Peer, err = netip.ParseAddr(v.Raw()); err != nil {
				v.Errorf("peer is %s; want an IP address, such as 192.0.2.1", v.Describe())
			}
		},
		"time": func(v yamlfile.Value) {
			var err error
			if c.Time, err = time.Parse(time.RFC3339, v.Raw()); err != nil {
				v.Errorf("time is %s; want one such as 2026-01-01T12:00:00Z", v.Describe())
			}
		},
		"message": func(v yamlfile.Value) { c.Message, _ = json.Marshal(plain(v)) },
		"calls": func(v yamlfile.Value) {
			if n, ok := v.Int("calls", 1, MaxCalls); ok {
				c.Calls = n
			}
		},
		"want": func(v yamlfile.Value) { readWant(v, &c); wanted = true },
	})
	if v.Kind() == yamlfile.Mapping && c.Method == "" {
		v.Errorf("a case has no method; want one such as shop.v1.Cart/Get")
	}
	if v.Kind() == yamlfile.Mapping && !wanted {
		v.Errorf("a case has no want; want OK, the name of a status code, or {code: …, reason: …}")
	}
	if c.Name == "" {
		c.Name = c.Method
	}
	return c
}

func readMethod(v yamlfile.Value, c *Case) {
	c.Method = strings.TrimPrefix(v.Raw(), "/")
	if service, name, ok := strings.Cut(c.Method, "/"); !ok || service == "" || name == "" {
		v.Errorf("method is %s; want one such as shop.v1.Cart/Get", v.Describe())
	}
}

func readIdentity(v yamlfile.Value) *hauberk.Identity {
	id := &hauberk.Identity{Method: "test"}
	v.Map("identity", map[string]func(yamlfile.Value){
		"subject": func(v yamlfile.Value) { id.Subject, _ = v.Text("subject") },
		"issuer":  func(v yamlfile.Value) { id.Issuer, _ = v.Text("issuer") },
		"tenant":  func(v yamlfile.Value) { id.Tenant, _ = v.Text("tenant") },
		"method":  func(v yamlfile.Value) { id.Method, _ = v.Text("method") },
		"roles":   func(v yamlfile.Value) { id.Roles = v.Texts("roles") },
		"scopes":  func(v yamlfile.Value) { id.Scopes = v.Texts("scopes") },
		"claims": func(v yamlfile.Value) {
			// As authn decodes the claims of a credential.
			raw, _ := json.Marshal(plain(v))
			if json.Unmarshal(raw, &id.Claims) != nil {
				v.Errorf("claims is %s; want keys and values", v.Describe())
			}
		},
	})
	if v.Kind() == yamlfile.Mapping && id.Subject == "" {
		v.Errorf("identity has no subject")
	}
	return id
}

func readMetadata(v yamlfile.Value, md metadata.MD) {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("metadata is %s; want keys and values", v.Describe())
	}
	for key, value := range v.Pairs() {
		if !metadatakey.Legal(key.Raw()) {
			key.Errorf("metadata has %s; want a key in lower case, such as x-version", key.Describe())
		}
		for _, item := range append(value.Items(), value) {
			if item.Kind() == yamlfile.Scalar {
				md.Append(key.Raw(), item.Raw())
			}
		}
	}
}

func readWant(v yamlfile.Value, c *Case) {
	code := func(v yamlfile.Value) {
		known, ok := codename.Parse(v.Raw())
		if c.Code = known; !ok {
			v.Errorf("want is %s; want the name of a status code, such as OK or PERMISSION_DENIED", v.Describe())
		}
	}
	if v.Kind() == yamlfile.Scalar {
		code(v)
		return
	}
	v.Map("want", map[string]func(yamlfile.Value){
		"code":   code,
		"reason": func(v yamlfile.Value) { c.Reason, _ = v.Text("reason") },
	})
}

// plain returns a value as encoding/json encodes it.
func plain(v yamlfile.Value) any {
	switch v.Kind() {
	case yamlfile.Mapping:
		all := make(map[string]any)
		for key, value := range v.Pairs() {
			all[key.Raw()] = plain(value)
		}
		return all
	case yamlfile.Sequence:
		all := []any{}
		for _, item := range v.Items() {
			all = append(all, plain(item))
		}
		return all
	case yamlfile.None, yamlfile.Scalar:
	}
	switch v.Type() {
	case "int", "float":
		if json.Valid([]byte(v.Raw())) {
			return json.RawMessage(v.Raw())
		}
	case "bool":
		return v.Raw() == "true"
	case "null":
		return nil
	}
	return v.Raw()
}
