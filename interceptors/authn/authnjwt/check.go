package authnjwt

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// check records what is wrong with the settings.
func (v *Validator) check() {
	c := v.config
	if c.Issuer == "" {
		v.failf("Config.Issuer is empty; want the iss of the tokens")
	}
	if slices.Contains(c.IssuerAliases, "") || slices.Contains(c.IssuerAliases, c.Issuer) {
		v.failf("Config.IssuerAliases is %q; want none that is empty or Config.Issuer", c.IssuerAliases)
	}
	if len(c.Audiences) == 0 || slices.Contains(c.Audiences, "") {
		v.failf("Config.Audiences is %q; want at least one aud, and none that is empty", c.Audiences)
	}
	v.checkAlgorithms()
	v.checkSources()
	if c.Leeway < 0 || c.Leeway > 10*time.Minute {
		v.failf("Config.Leeway is %v; want 0 to 10m", c.Leeway)
	}
	if c.MaxTokenBytes < 0 {
		v.failf("Config.MaxTokenBytes is %d; want 0 for the default, or a size", c.MaxTokenBytes)
	}
	v.parsePaths()
	v.checkRefresh()
}

func (v *Validator) checkAlgorithms() {
	if len(v.config.Algorithms) == 0 {
		v.failf("Config.Algorithms is empty; want those that the issuer signs with, such as RS256")
	}
	for _, a := range v.config.Algorithms {
		if _, known := families[a]; !known {
			v.failf("Config.Algorithms has %q; want RS256, RS384, RS512, PS256, PS384, PS512, "+
				"ES256, ES384, ES512, EdDSA, or with secrets HS256, HS384, HS512", a)
		}
	}
}

// checkSources checks that the keys come from one place, and fit the algorithms.
func (v *Validator) checkSources() {
	c := v.config
	sources := slices.Clone(v.given)
	for name, set := range map[string]bool{
		"Config.JWKSFile": c.JWKSFile != "", "Config.JWKSURL": c.JWKSURL != "",
		"Config.Discovery": c.Discovery, "Config.SecretFile": c.SecretFile != "",
	} {
		if set {
			sources = append(sources, name)
		}
	}
	if len(sources) != 1 {
		slices.Sort(sources)
		v.failf("the keys come from %d sources (%s); want exactly one of Config.JWKSFile, JWKSURL, Discovery and "+
			"SecretFile, or of the options WithKeys, WithPublicKeys and WithSecrets",
			len(sources), or(strings.Join(sources, ", "), "none"))
		return
	}
	secret := sources[0] == "Config.SecretFile" || sources[0] == "WithSecrets"
	for _, a := range c.Algorithms {
		if family, known := families[a]; known && (family == familyHS) != secret {
			v.failf("Config.Algorithms has %s, with keys from %s; want HS with secrets, and no others with them",
				a, sources[0])
		}
	}
	if c.JWKSURL != "" {
		v.checkURL("Config.JWKSURL", c.JWKSURL)
	}
	if c.Discovery && c.Issuer != "" {
		v.checkURL("Config.Issuer", c.Issuer)
	}
}

func (v *Validator) checkURL(name, raw string) {
	if err := allowed(raw, v.config.AllowHTTP); err != nil {
		v.failf("%s is %q: %w", name, raw, err)
	}
}

// allowed returns why keys must not be fetched from a URL.
func allowed(raw string, allowHTTP bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("it has no host, or has a user or a fragment; want https://host/path")
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return fmt.Errorf("its scheme is %q; want https, or http with Config.AllowHTTP", u.Scheme)
	default:
		return nil
	}
}

func (v *Validator) checkRefresh() {
	r := v.config.Refresh
	for name, d := range map[string]time.Duration{
		"Interval": r.Interval, "MinInterval": r.MinInterval, "MaxInterval": r.MaxInterval,
		"MaxStale": r.MaxStale, "Timeout": r.Timeout,
	} {
		if d < 0 {
			v.failf("Config.Refresh.%s is %v; want 0 for the default, or a time", name, d)
		}
	}
	if r.Interval > r.MaxInterval || r.MinInterval > r.MaxInterval || r.MaxInterval > r.MaxStale {
		v.failf("Config.Refresh has Interval %v, MinInterval %v, MaxInterval %v and MaxStale %v; "+
			"want the first two not above the third, and that not above the last",
			r.Interval, r.MinInterval, r.MaxInterval, r.MaxStale)
	}
	if r.MaxBytes < 0 || r.MaxKeys < 0 {
		v.failf("Config.Refresh has MaxBytes %d and MaxKeys %d; want 0 for the default, or a limit",
			r.MaxBytes, r.MaxKeys)
	}
}

// failf records an error of the settings.
func (v *Validator) failf(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("authnjwt: "+format, args...))
}
