package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// addPolicy adds the flags of the policy file.
func (o *options) addPolicy(flags *pflag.FlagSet) {
	flags.StringVarP(&o.config, "config", "c", "",
		"read the chains and settings from this policy file (default: a built-in chain)")
	flags.StringToStringVar(&o.identity, "identity-metadata", nil,
		"send parts of the verified identity to the upstream: subject=x-user,tenant=x-tenant\n(needs --config)")
	flags.StringSliceVar(&o.strip, "strip-metadata", nil,
		"remove this metadata of clients; \"\" removes none (default: see IDENTITY)")
}

// fromFile takes the settings of gateway whose flags are not set. A flag takes precedence over its key.
func (o *options) fromFile(flags *pflag.FlagSet) error {
	if o.config == "" {
		if o.identity != nil {
			return errors.New("--identity-metadata needs --config: the built-in chain authenticates no calls")
		}
		return nil
	}
	file, err := policyfile.Load(o.config, policyfile.CheckOnly(), policyfile.WithCheck(o.fitsFile))
	if err != nil {
		return &fileError{err}
	}
	defer file.Close()
	g := file.Gateway()
	if g == nil {
		return nil // the flags have everything
	}
	flags.VisitAll(func(f *pflag.Flag) {
		key := keyOf(f.Name)
		if !inFile(g, key) {
			return
		}
		if f.Changed {
			line, _, _ := g.Place(strings.Split(key, ".")[0])
			o.from = append(o.from,
				fmt.Sprintf("--%s takes precedence over gateway.%s (%s:%d)", f.Name, key, o.config, line))
			return
		}
		o.take(f, key, valueOfKey(g, key))
	})
	return nil
}

// fitsFile returns an error if a policy needs descriptors, and neither a flag nor the file names some.
func (o *options) fitsFile(p *policyfile.Policy) error {
	if o.describes() || describes(p.Gateway()) {
		return nil
	}
	return checkMessages(p)
}

// inFile reports whether a file has a key of gateway.
func inFile(g *section, key string) bool {
	outer, _, nested := strings.Cut(key, ".")
	if _, _, ok := g.Place(outer); !ok || !nested {
		return ok
	}
	return slices.ContainsFunc(g.Settings(), func(s policyfile.Setting) bool { return s.Key == key })
}

// fileError is what is wrong with the policy file.
type fileError struct{ error }

// Unwrap returns the lines.
func (e *fileError) Unwrap() error { return e.error }
