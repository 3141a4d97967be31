package version

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/semver"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
	"github.com/hauberk-rpc/hauberk/internal/pattern"
)

// The defaults of [Config].
const (
	DefaultMetadata    = "user-agent"
	DefaultMaxVersions = 200
)

// maxMaxVersions is the greatest MaxVersions: each is a series in metrics.
const maxMaxVersions = 10_000

// Config holds the settings of [New]. The zero value gates nothing.
type Config struct {
	// Rules say which versions are supported. The first one that names the client and the method of a
	// call decides.
	Rules []Rule
	// Metadata is the key of the metadata with the client and its version, as "name/version". The
	// default is DefaultMetadata.
	Metadata string
	// RejectUnknown rejects calls whose version is not known, if a rule names their client and
	// method: "shop-cli" and "shop-cli/latest" have the client shop-cli. A call whose client is not known
	// either is rejected if a rule for all clients names its method. The default admits both.
	RejectUnknown bool
	// GateUnknown gates calls of methods that the server does not know, as those of other methods. It is for a
	// sidecar, which knows a method only after its first answer, or from descriptors. On a server such calls end with
	// UNIMPLEMENTED; the default leaves them to it.
	GateUnknown bool
	// Count lists clients to count in addition to those of the rules.
	Count []string
	// MaxVersions bounds the pairs of client and version that are counted separately. The default is
	// DefaultMaxVersions.
	MaxVersions int
}

// Rule says which versions of a client are supported.
type Rule struct {
	// Client is the name of the client. "" is every client.
	Client string
	// Methods are patterns of methods, in the form that hauberk.For takes, such as "shop.v1.Cart/Get" or
	// "shop.v1.*". The default is all.
	Methods []string
	// Versions are the supported versions: comparisons with commas between them, which all hold, such as
	// ">=1.4, <2"; "||" between alternatives; or "*". The operators are =, !=, <, <=, > and >=. A
	// pre-release comes before its version: ">=1.4" does not have 1.4.0-rc.1.
	Versions string
	// Upgrade is what the rejection says to upgrade to, such as "shop-cli 2.3". The default is the
	// supported versions.
	Upgrade string
}

func (c Config) withDefaults() Config {
	c.Metadata = cmp.Or(c.Metadata, DefaultMetadata)
	c.MaxVersions = cmp.Or(c.MaxVersions, DefaultMaxVersions)
	return c
}

const wantName = `want a name of 1 to 64 letters, digits and other characters of a token, such as "shop-cli"`

// rule is a Rule that can be applied.
type rule struct {
	Rule

	methods   pattern.Set // empty is all
	supported semver.Range
}

// rules returns the rules, and everything that is wrong with the configuration.
func (c Config) rules() (rules []rule, err error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !metadatakey.Legal(c.Metadata) {
		fail("Metadata is %q; want a key of lower-case letters, digits, '-', '_' and '.'", c.Metadata)
	}
	if c.MaxVersions < 0 || c.MaxVersions > maxMaxVersions {
		fail("MaxVersions is %d; want 1 to %d, or 0 for %d", c.MaxVersions, maxMaxVersions, DefaultMaxVersions)
	}
	for i, name := range c.Count {
		if !isName(name) {
			fail("Count[%d] is %q; %s", i, name, wantName)
		}
	}
	for name, set := range map[string]bool{"RejectUnknown": c.RejectUnknown, "GateUnknown": c.GateUnknown} {
		if set && len(c.Rules) == 0 {
			fail("%s has no effect without Rules", name)
		}
	}
	for i, r := range c.Rules {
		methods, bad := pattern.ParseAll(r.Methods)
		for _, text := range bad {
			fail("Rules[%d].Methods has %q; %s", i, text, pattern.Want)
		}
		if r.Client != "" && !isName(r.Client) {
			fail("Rules[%d].Client is %q; %s", i, r.Client, wantName)
		}
		supported, err := semver.ParseRange(r.Versions)
		if err != nil {
			fail("Rules[%d].Versions is %q: %w", i, r.Versions, err)
		}
		if hidden := slices.IndexFunc(c.Rules[:i], r.hiddenBy); hidden >= 0 {
			fail("Rules[%d] has no effect: Rules[%d] names the same calls", i, hidden)
		}
		rules = append(rules, rule{r, methods, supported})
	}
	return rules, errors.Join(errs...)
}

// hiddenBy reports whether an earlier rule names all calls that r names.
func (r Rule) hiddenBy(earlier Rule) bool {
	return (earlier.Client == "" || earlier.Client == r.Client) &&
		(len(earlier.Methods) == 0 || slices.Equal(earlier.Methods, r.Methods))
}

// unmatched returns which patterns match none of the methods.
func (x *Interceptor) unmatched(methods []*hauberk.Method) (all []string) {
	index := pattern.IndexOf(methods)
	for i, r := range x.rules {
		all = append(all, index.Unmatched(fmt.Sprintf("version.Config.Rules[%d].Methods", i), r.methods)...)
	}
	return all
}
