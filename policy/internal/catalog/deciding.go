package catalog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnintrospect"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnmtls"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnoauth2"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// deciding adds the interceptors that admit and reject calls.
func (c *Catalog) deciding() {
	add(c, "authn", hauberk.OnlyServers, "Authenticates callers.", buildAuthn)
	add(c, "authn", hauberk.OnlyClients, "Sends a token with each call.", buildAuthnClient)
	add(c, "authz", hauberk.OnlyServers, "Admits calls by rules. What no rule allows is rejected.", buildAuthz)
	add(c, "ext_authz", hauberk.OnlyServers, "Asks an external service of Envoy's ext_authz protocol.", buildAuthzExt)
	plain(c, "serving", hauberk.OnlyServers, "Accepts calls by the state of the server.",
		func(b *Build, config serving.Config) hauberk.Interceptor {
			return serving.New(config, options[serving.Option]{serving.WithLogger(b.Logger)}.
				when(b.Health != nil, func() serving.Option { return serving.WithHealth(b.Health) })...)
		})
	plain(c, "version", hauberk.OnlyServers, "Rejects old versions of clients, and counts versions.",
		func(_ *Build, config version.Config) hauberk.Interceptor { return version.New(config) })
	plain(c, "validate", hauberk.BothSides, "Validates messages by the rules of protovalidate in the .proto files.",
		func(b *Build, config validate.Config) hauberk.Interceptor {
			return validate.New(config, options[validate.Option]{validate.WithLogger(b.Logger)}.
				when(len(b.Services) > 0, func() validate.Option { return validate.WithServices(b.Services...) })...)
		})
	add(c, "tenant", hauberk.OnlyServers, "Makes a field of requests the tenant of the caller.",
		func(_ *Build, form *tenantForm) (hauberk.Interceptor, error) {
			f := form.Field
			if form.Optional {
				f = f.Optional()
			}
			return field.Tenant(f), nil
		})
}

// tenantForm is a field of requests.
type tenantForm struct {
	// Field has paths of the field. Of several the first one counts that the type of the request has.
	Field field.Field `policy:"required"`
	// Optional admits calls without a value.
	Optional bool
}

// authnForm is authn with its methods, of which a call needs one.
type authnForm struct {
	authn.Config

	// JWT accepts JSON Web Tokens, of one or several issuers.
	JWT []authnjwt.Config
	// APIKeys accepts the keys in a file.
	APIKeys *authn.APIKeysConfig
	// MTLS accepts client certificates.
	MTLS *authnmtls.Config
	// Introspection accepts tokens that an authorization server knows (RFC 7662).
	Introspection *authnintrospect.Config
}

func buildAuthn(b *Build, form *authnForm) (hauberk.Interceptor, error) {
	var methods []authn.Method
	for i := range form.JWT {
		opts := options[authnjwt.Option]{authnjwt.WithLogger(b.Logger)}.
			when(b.Clock != nil, func() authnjwt.Option { return authnjwt.WithClock(b.Clock) })
		config := form.JWT[i]
		if b.TestKeys != nil {
			tested, keys, err := b.TestKeys(config)
			if err != nil {
				return nil, err
			}
			config, opts = tested, append(opts, keys...)
		}
		methods = append(methods, authnjwt.New(config, opts...))
	}
	if form.APIKeys != nil {
		config := *form.APIKeys
		config.Failed = b.failed("API keys")
		methods = append(methods, authn.NewAPIKeys(config))
	}
	if form.Introspection != nil {
		methods = append(methods, authnintrospect.New(*form.Introspection))
	}
	if form.MTLS != nil {
		methods = append(methods, authnmtls.New(*form.MTLS))
	}
	for _, m := range methods {
		b.own(m)
	}
	if len(methods) == 0 {
		return nil, errors.New("authn has no method; want at least one of jwt, api_keys, mtls and introspection")
	}
	return authn.New(form.Config, methods...), nil
}

// failed logs the errors of a file that is read again.
func (b *Build) failed(what string) func(error) {
	return func(err error) {
		if err != nil {
			//nolint:sloglint // of no call
			b.Logger.Error(what+" were not read again", "error", err)
		}
	}
}

// authnClientForm is the source of the tokens of a client.
type authnClientForm struct {
	authn.ClientConfig

	// Token is a token that does not change. One of token, token_file and oauth2 is required.
	Token string
	// TokenFile is a file with a token, which is read again when it changes.
	TokenFile string
	// OAuth2 fetches tokens by client credentials (RFC 6749, 4.4).
	OAuth2 *authnoauth2.Endpoint
}

func buildAuthnClient(b *Build, form *authnClientForm) (hauberk.Interceptor, error) {
	var sources []authn.TokenSource
	if form.Token != "" {
		sources = append(sources, authn.StaticToken(form.Token))
	}
	if form.TokenFile != "" {
		sources = append(sources, authn.NewFileToken(authn.FileTokenConfig{
			File: form.TokenFile, Failed: b.failed("tokens"),
		}))
	}
	if form.OAuth2 != nil {
		sources = append(sources, authnoauth2.NewClientCredentials(*form.OAuth2))
	}
	for _, s := range sources {
		b.own(s)
	}
	if len(sources) != 1 {
		return nil, fmt.Errorf("authn has %d sources of tokens; want one of token, token_file and oauth2", len(sources))
	}
	return authn.NewClient(sources[0], form.ClientConfig), nil
}

// authzForm is authz with its rules in one list.
type authzForm struct {
	authz.Config

	// Rules allow and deny calls. What no rule allows, and what a rule denies, is rejected. Their order has no
	// effect.
	Rules []ruleForm `policy:"required"`
	// Policy is written as rules.
	Policy struct{} `policy:"-"`
}

// ruleForm is a rule. It has one of Allow, Deny, AllowPaths and DenyPaths.
type ruleForm struct {
	// Allow are patterns of methods whose calls the rule admits.
	Allow []string
	// Deny are patterns of methods whose calls the rule rejects.
	Deny []string
	// AllowPaths and DenyPaths are text patterns of the full names of methods, such as "/shop.v1.Cart/Get*".
	AllowPaths, DenyPaths []string

	authz.Rule

	// Methods and Paths are written as the above.
	Methods, Paths struct{} `policy:"-"`
}

// maxExpressions bounds the expressions of one entry, so that a file is loaded within a second.
const maxExpressions = 2000

func buildAuthz(b *Build, form *authzForm) (hauberk.Interceptor, error) {
	config := form.Config
	b.Renames["Policy"] = "Rules"
	var failed []error
	for i := range form.Rules {
		f := &form.Rules[i]
		at := fmt.Sprintf("Rules[%d]", i)
		list, name := &config.Policy.Allow, "Allow"
		if len(f.Deny)+len(f.DenyPaths) > 0 {
			list, name = &config.Policy.Deny, "Deny"
		}
		if f.kinds() != 1 {
			failed = append(failed, fmt.Errorf(
				"%s has %d of allow, deny, allow_paths and deny_paths with a value; want one", at, f.kinds()))
			continue
		}
		r := f.Rule
		r.Methods, r.Paths = slices.Concat(f.Allow, f.Deny), slices.Concat(f.AllowPaths, f.DenyPaths)
		if r.Name == "" {
			r.Name = fmt.Sprintf("rules[%d]", i)
		}
		b.Renames[fmt.Sprintf("Policy.%s[%d]", name, len(*list))] = at
		*list = append(*list, r)
	}
	expressions := make(map[string]bool)
	for i := range form.Rules {
		expressions[form.Rules[i].When] = true
	}
	if n := len(expressions); n > maxExpressions {
		failed = append(failed, fmt.Errorf("the rules have %d different expressions; want at most %d",
			n, maxExpressions))
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return authz.New(config, options[authz.Option](nil).
		when(b.Clock != nil, func() authz.Option { return authz.WithClock(b.Clock) })...), nil
}

func (f *ruleForm) kinds() (n int) {
	for _, list := range [][]string{f.Allow, f.Deny, f.AllowPaths, f.DenyPaths} {
		if len(list) > 0 {
			n++
		}
	}
	return n
}

// authzExtForm is ext_authz with the address of its service.
type authzExtForm struct {
	authzext.Config
	connForm
}

func buildAuthzExt(b *Build, form *authzExtForm) (hauberk.Interceptor, error) {
	conn, err := form.dial(b)
	if err != nil {
		return nil, err
	}
	config := form.Config
	config.Conn = conn
	return authzext.New(config, options[authzext.Option](nil).
		when(b.Clock != nil, func() authzext.Option { return authzext.WithClock(b.Clock) })...), nil
}
