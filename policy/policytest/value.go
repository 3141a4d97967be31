package policytest

import (
	"encoding/json"
	"net/netip"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// text returns a function that reads a text.
func text(what string, into *string) func(yamlfile.Value) {
	return func(v yamlfile.Value) { *into, _ = v.Text(what) }
}

// texts reads a text, or a list of texts.
func texts(v yamlfile.Value, what string) []string {
	if v.Kind() == yamlfile.Scalar {
		if one, ok := v.Text(what); ok {
			return []string{one}
		}
		return nil
	}
	return v.Texts(what)
}

// code reads the name of a status code.
func code(v yamlfile.Value, what string) codes.Code {
	c, ok := codename.Parse(v.Raw())
	if !ok {
		v.Errorf("%s is %s; want the name of a status code, such as OK or PERMISSION_DENIED", what, v.Describe())
	}
	return c
}

// defaultPort is the port of a peer that has none.
const defaultPort = 1

func readPeer(v yamlfile.Value) netip.AddrPort {
	if peer, err := netip.ParseAddrPort(v.Raw()); err == nil {
		return peer
	}
	address, err := netip.ParseAddr(v.Raw())
	if err != nil {
		v.Errorf("peer is %s; want an IP address with or without a port, such as 192.0.2.1", v.Describe())
	}
	return netip.AddrPortFrom(address, defaultPort)
}

// readIdentity reads the caller of a call.
func readIdentity(v yamlfile.Value) *hauberk.Identity {
	id := &hauberk.Identity{}
	v.Map("identity", map[string]func(yamlfile.Value){
		"subject": text("subject", &id.Subject),
		"issuer":  text("issuer", &id.Issuer),
		"tenant":  text("tenant", &id.Tenant),
		"method": func(v yamlfile.Value) {
			methods := []string{MethodJWT, MethodMTLS, MethodAPIKey}
			if i, ok := v.OneOf("method", methods...); ok {
				id.Method = methods[i]
			}
		},
		"roles":  func(v yamlfile.Value) { id.Roles = texts(v, "roles") },
		"scopes": func(v yamlfile.Value) { id.Scopes = texts(v, "scopes") },
		"claims": func(v yamlfile.Value) {
			// As authn decodes the claims of a credential.
			raw, err := json.Marshal(plain(v))
			if v.Kind() != yamlfile.Mapping || err != nil || json.Unmarshal(raw, &id.Claims) != nil {
				v.Errorf("claims is %s; want keys and values", v.Describe())
			}
		},
	})
	if v.Kind() == yamlfile.Mapping && id.Subject == "" {
		v.Errorf("identity has no subject")
	}
	if id.Method == MethodMTLS &&
		(id.Issuer != "" || id.Tenant != "" || id.Roles != nil || id.Scopes != nil || id.Claims != nil) {
		v.Errorf("identity has the method mtls; want only subject in addition, which a certificate proves")
	}
	return id
}

func readMetadata(v yamlfile.Value, md metadata.MD) {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("metadata is %s; want keys and values", v.Describe())
	}
	for key, value := range v.Pairs() {
		switch {
		case !metadatakey.Legal(key.Raw()):
			key.Errorf("metadata has %s; want a key in lower case, such as x-version", key.Describe())
		case md[key.Raw()] != nil:
			key.Errorf("metadata has the key %.100q twice", key.Raw())
		}
		md.Append(key.Raw(), texts(value, "metadata")...)
	}
}

// readMessage reads a message as JSON.
func readMessage(v yamlfile.Value) json.RawMessage {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("message is %s; want the fields of the message", v.Describe())
		return nil
	}
	data, err := json.Marshal(plain(v))
	if err != nil {
		v.Errorf("message: %v", err)
	}
	return data
}

// plain returns a value as encoding/json encodes it. Numbers that JSON does not have are texts.
func plain(v yamlfile.Value) any {
	switch v.Kind() {
	case yamlfile.Mapping:
		all := make(map[string]any)
		for key, value := range v.Pairs() {
			if _, twice := all[key.Raw()]; twice {
				key.Errorf("the key %.100q is there twice", key.Raw())
			}
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
