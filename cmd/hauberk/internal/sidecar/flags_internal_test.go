package sidecar

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// withoutKey are the flags that have no key of gateway, with the reason.
var withoutKey = map[string]string{
	"config": "it names the file that has the keys",
	"help":   "it is a question",

	"access-log-off":    "a chain without the entry logging logs no calls",
	"access-log-first":  "sampling of the entry logging has it",
	"access-log-one-in": "sampling of the entry logging has it",
	"access-log-levels": "levels of the entry logging has it",
}

// Every flag has a key of gateway, except those of withoutKey, and every key a flag.
func TestFlagsAndKeys(t *testing.T) {
	keys := make(map[string]bool)
	var of func(prefix string, section reflect.Type)
	of = func(prefix string, section reflect.Type) {
		for f := range section.Fields() {
			key := prefix + snake(f.Name)
			switch {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
				of(key+".", f.Type.Elem())
			default:
				keys[key] = true
			}
		}
	}
	of("", reflect.TypeFor[policyfile.Gateway]())
	keys["upstream_tls"] = true // {} has a meaning
	Command("").Flags().VisitAll(func(f *pflag.Flag) {
		key := keyOf(f.Name)
		if !keys[key] && withoutKey[f.Name] == "" {
			t.Errorf("--%s has the key %q, which does not exist", f.Name, key)
		}
		delete(keys, key)
	})
	for key := range keys {
		t.Errorf("gateway.%s has no flag", key)
	}
}

func snake(name string) string {
	name = strings.ReplaceAll(name, "CA", "Ca")
	name = strings.ReplaceAll(name, "ID", "Id")
	name = strings.NewReplacer("TCP", "Tcp", "TLS", "Tls").Replace(name)
	var b strings.Builder
	for i, r := range name {
		if r < 'a' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// A flag takes precedence over its key, and a line says so. Keys whose flags are not set are in force.
func TestFlagsTakePrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	file := `version: 1
gateway:
  listen: 127.0.0.1:1
  upstream: 127.0.0.1:2
  drain: 0s
  strip_metadata: []
  identity_metadata: {subject: x-subject}
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var o options
	cmd := new(cobra.Command)
	o.flags(cmd)
	if err := cmd.ParseFlags([]string{"--config", path, "--listen", "127.0.0.1:3"}); err != nil {
		t.Fatal(err)
	}
	if err := o.fromFile(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	if o.listen != "127.0.0.1:3" || o.upstream != "127.0.0.1:2" || o.drain != 0*time.Second {
		t.Errorf("options %+v", o)
	}
	if want := []string{"--listen takes precedence over gateway.listen (" + path + ":3)"}; !slices.Equal(o.from, want) {
		t.Errorf("lines %q", o.from)
	}
	if got := o.stripped(); !slices.Equal(got, []string{"x-subject"}) {
		t.Errorf("stripped are %q", got)
	}
}

// The help lists the metadata that is removed by default.
func TestHelpListsStrippedMetadata(t *testing.T) {
	for _, name := range identityMetadata {
		if !strings.Contains(long, name+",") && !strings.Contains(long, name+"\n") {
			t.Errorf("the help lacks %s", name)
		}
	}
}
