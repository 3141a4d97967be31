package sidecar

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// section is the section gateway of a file.
type section = policyfile.Gateway

// keyOf has for each flag with a key of gateway the key, and how it is set.
//
//nolint:gochecknoglobals // never written
var keyOf = map[string]struct {
	key  string
	take func(o *options, g *section)
}{
	"listen": {"listen", func(o *options, g *section) {
		o.listen = g.Listen
	}},
	"upstream": {"upstream", func(o *options, g *section) {
		o.upstream = g.Upstream
	}},
	"telemetry": {"telemetry", func(o *options, g *section) {
		o.telemetry = g.Telemetry
	}},
	"transport": {"transport", func(o *options, g *section) {
		o.transport = g.Transport
	}},
	"drain": {"drain", func(o *options, g *section) { o.drain = *g.Drain }},
	"insecure": {"insecure", func(o *options, g *section) {
		o.insecure = g.Insecure
	}},
	"forward-request-id": {"forward_request_id", func(o *options, g *section) {
		o.forwardID = g.ForwardRequestID
	}},
	"tls-cert": {"tls.cert_file", func(o *options, g *section) {
		o.connections.clients.cert = g.TLS.CertFile
	}},
	"tls-key": {"tls.key_file", func(o *options, g *section) {
		o.connections.clients.key = g.TLS.KeyFile
	}},
	"tls-client-ca": {"tls.client_ca_file", func(o *options, g *section) {
		o.connections.clients.ca = g.TLS.ClientCAFile
	}},
	"identity-metadata": {"identity_metadata", func(o *options, g *section) {
		o.identity = g.IdentityMetadata
	}},
	"strip-metadata": {"strip_metadata", func(o *options, g *section) {
		o.strip = append([]string{}, g.StripMetadata...)
	}},
	"max-message-size": {"max_message_size", func(o *options, g *section) {
		o.limits.message = size(g.MaxMessageSize)
	}},
	"max-header-size": {"max_header_list_size", func(o *options, g *section) {
		o.limits.header = size(g.MaxHeaderListSize)
	}},
	"max-streams": {"max_concurrent_streams", func(o *options, g *section) {
		o.limits.streams = g.MaxConcurrentStreams
	}},
}

// addPolicy adds the flags of the policy file.
func (o *options) addPolicy(flags *pflag.FlagSet) {
	flags.StringVarP(&o.config, "config", "c", "",
		"read the chains and settings from this policy file (default: a built-in chain)")
	flags.StringToStringVar(&o.identity, "identity-metadata", nil,
		"send parts of the verified identity to the upstream: subject=x-user,tenant=x-tenant\n(needs --config)")
	flags.StringSliceVar(&o.strip, "strip-metadata", nil,
		"remove this metadata of clients (needs --config; default: see IDENTITY)")
}

// fromFile takes the settings of gateway whose flags are not set. A flag takes precedence over its key.
func (o *options) fromFile(flags *pflag.FlagSet) error {
	if o.config == "" {
		if o.identity != nil || o.strip != nil {
			return errors.New("--identity-metadata and --strip-metadata need --config: " +
				"the built-in chain authenticates no calls")
		}
		return nil
	}
	file, err := policyfile.Load(o.config, policyfile.CheckOnly())
	if err != nil {
		return &fileError{err}
	}
	defer file.Close()
	g := file.Gateway()
	if g == nil {
		return nil // the flags have everything
	}
	for _, name := range slices.Sorted(maps.Keys(keyOf)) {
		key := keyOf[name].key
		if !inFile(g, key) {
			continue
		}
		if flags.Changed(name) {
			line, _, _ := g.Place(strings.Split(key, ".")[0])
			o.from = append(o.from,
				fmt.Sprintf("--%s takes precedence over gateway.%s (%s:%d)", name, key, o.config, line))
			continue
		}
		keyOf[name].take(o, g)
	}
	return nil
}

// inFile reports whether a file has a key of gateway.
func inFile(g *policyfile.Gateway, key string) bool {
	section, inner, nested := strings.Cut(key, ".")
	_, _, ok := g.Place(section)
	if !ok || !nested {
		return ok
	}
	return g.TLS != nil && (inner != "client_ca_file" || g.TLS.ClientCAFile != "")
}

// fileError is what is wrong with the policy file.
type fileError struct{ error }

// Unwrap returns the lines.
func (e *fileError) Unwrap() error { return e.error }
