package policycases

import (
	"encoding/json"
	"strconv"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// text returns a function that reads a text.
func text(what string, into *string) func(yamlfile.Value) {
	return func(v yamlfile.Value) { *into, _ = v.Text(what) }
}

// identity reads the caller of a call.
func identity(v yamlfile.Value) *Identity {
	id := &Identity{Method: "jwt"}
	v.Map("identity", map[string]func(yamlfile.Value){
		"subject": text("subject", &id.Subject),
		"issuer":  text("issuer", &id.Issuer),
		"tenant":  text("tenant", &id.Tenant),
		"method": func(v yamlfile.Value) {
			methods := []string{"jwt", "mtls", "api key"}
			if i, ok := v.OneOf("method", methods...); ok {
				id.Method = methods[i]
			}
		},
		"scopes": func(v yamlfile.Value) { id.Scopes = texts(v, "scopes") },
		"roles":  func(v yamlfile.Value) { id.Roles = texts(v, "roles") },
		"claims": func(v yamlfile.Value) {
			if v.Kind() != yamlfile.Mapping {
				v.Errorf("claims is %s; want keys and values", v.Describe())
				return
			}
			id.Claims, _ = generic(v).(map[string]any)
		},
	})
	if _, ok := v.Get("subject"); v.Kind() == yamlfile.Mapping && !ok {
		v.Errorf("identity has no subject")
	}
	return id
}

// metadata reads the metadata of a call.
func metadata(v yamlfile.Value) map[string][]string {
	md := make(map[string][]string)
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("metadata is %s; want keys and values", v.Describe())
	}
	for key, value := range v.Pairs() {
		if _, twice := md[key.Raw()]; twice {
			key.Errorf("metadata has the key %.100q twice", key.Raw())
		}
		md[key.Raw()] = texts(value, "metadata")
	}
	return md
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

// message reads a message as JSON.
func message(v yamlfile.Value) []byte {
	if v.Kind() != yamlfile.Mapping {
		v.Errorf("message is %s; want the fields of the message", v.Describe())
		return nil
	}
	data, err := json.Marshal(generic(v))
	if err != nil {
		v.Errorf("message: %v", err)
	}
	return data
}

// generic returns a value as encoding/json decodes it, with integers as int64.
func generic(v yamlfile.Value) any {
	switch v.Kind() {
	case yamlfile.Mapping:
		all := make(map[string]any)
		for key, value := range v.Pairs() {
			if _, twice := all[key.Raw()]; twice {
				key.Errorf("the key %.100q is there twice", key.Raw())
			}
			all[key.Raw()] = generic(value)
		}
		return all
	case yamlfile.Sequence:
		all := []any{}
		for _, item := range v.Items() {
			all = append(all, generic(item))
		}
		return all
	default:
		return scalar(v)
	}
}

// scalar returns a scalar. Numbers that JSON cannot write are texts.
func scalar(v yamlfile.Value) any {
	switch v.Type() {
	case "null":
		return nil
	case "bool":
		if b, err := strconv.ParseBool(v.Raw()); err == nil {
			return b
		}
	case "int":
		if n, err := strconv.ParseInt(v.Raw(), 0, 64); err == nil {
			return n
		}
	case "float":
		if n, err := strconv.ParseFloat(v.Raw(), 64); err == nil && n-n == 0 {
			return n
		}
	}
	return v.Raw()
}
