package sidecar

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/pflag"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// section is the section gateway of a file.
type section = policyfile.Gateway

// otherKeys has the keys of gateway of flags whose name is another one.
//
//nolint:gochecknoglobals // never written
var otherKeys = map[string]string{
	"telemetry-tls-cert":       "telemetry_tls.cert_file",
	"telemetry-tls-key":        "telemetry_tls.key_file",
	"admin-tls-cert":           "admin_tls.cert_file",
	"admin-tls-key":            "admin_tls.key_file",
	"tls-cert":                 "tls.cert_file",
	"tls-key":                  "tls.key_file",
	"tls-client-ca":            "tls.client_ca_file",
	"tls-min":                  "tls.min_version",
	"descriptors":              "descriptors_file",
	"upstream-ca":              "upstream_tls.ca_file",
	"upstream-cert":            "upstream_tls.cert_file",
	"upstream-key":             "upstream_tls.key_file",
	"upstream-server-name":     "upstream_tls.server_name",
	"upstream-tls-min":         "upstream_tls.min_version",
	"max-header-size":          "max_header_list_size",
	"max-upstream-header-size": "max_upstream_header_list_size",
	"max-streams":              "max_concurrent_streams",
}

// keyOf returns the key of gateway of a flag: "upstream_wait" of --upstream-wait.
func keyOf(flag string) string {
	if key, ok := otherKeys[flag]; ok {
		return key
	}
	return strings.ReplaceAll(flag, "-", "_")
}

// valueOfKey returns the value of a key that a section has.
func valueOfKey(g *section, key string) reflect.Value {
	value := reflect.ValueOf(g)
	for name := range strings.SplitSeq(key, ".") {
		field := strings.ReplaceAll(name, "_", "")
		value = reflect.Indirect(value).FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, field) })
	}
	return value
}

// take sets a flag to the value of its key. The zero value of a key is its default, which the flag has.
func (o *options) take(f *pflag.Flag, key string, value reflect.Value) {
	if value.IsZero() && value.Kind() != reflect.Slice {
		return
	}
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	var text string
	switch v := value.Interface().(type) {
	case map[string]string:
		o.identity = v // the text of a flag has no form for every key
		return
	case []string:
		list, ok := f.Value.(pflag.SliceValue)
		if !ok {
			o.wrong = errors.Join(o.wrong, fmt.Errorf("gateway.%s is a list, and --%s is none", key, f.Name))
			return
		}
		_ = list.Replace(append([]string{}, v...)) // an empty list is not nil, the default
		return
	case string, bool, int, time.Duration:
		text = fmt.Sprint(v)
	default:
		text = "true" // a section that is there
	}
	if err := f.Value.Set(text); err != nil {
		o.wrong = errors.Join(o.wrong, fmt.Errorf("gateway.%s is %q: %w", key, text, err))
	}
}
