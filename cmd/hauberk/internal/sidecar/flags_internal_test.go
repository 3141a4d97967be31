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

// withoutKey are the flags that have no key of gateway yet, with prefixes.
var withoutKey = []string{
	"upstream-", "telemetry-tls-", "tls-min", "max-upstream-header-size", "max-connection", "max-memory",
	"max-settings-rate", "max-reset-rate", "max-empty-frame-rate", "min-ping-interval", "handshake-timeout",
	"frame-timeout", "message-timeout", "first-byte-timeout", "config", "help",
}

// Every flag has a key of gateway, except those of withoutKey, and every key a flag, except admin, which the sidecar
// does not serve yet.
func TestFlagsAndKeys(t *testing.T) {
	keys := make(map[string]bool)
	of := func(prefix string, section reflect.Type) {
		for f := range section.Fields() {
			if f.IsExported() && f.Name != "TLS" && f.Name != "Admin" {
				keys[prefix+snake(f.Name)] = true
			}
		}
	}
	of("", reflect.TypeFor[policyfile.Gateway]())
	of("tls.", reflect.TypeFor[policyfile.GatewayTLS]())
	Command("").Flags().VisitAll(func(f *pflag.Flag) {
		key := keyOf[f.Name].key
		if !keys[key] && !slices.ContainsFunc(withoutKey, func(prefix string) bool {
			return strings.HasPrefix(f.Name, prefix)
		}) {
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
