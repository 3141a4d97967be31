package authnmtls

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// ReasonInvalidCertificate is the reason of rejections ([hauberk.Reason]).
const ReasonInvalidCertificate = "INVALID_CERTIFICATE"

// Sentinels that errors.Is finds in rejections, in this process.
var (
	// ErrUnverified is found if nothing verified the certificate.
	ErrUnverified = errors.New("authnmtls: the certificate was not verified")
	// ErrName is found if no name in the certificate is accepted.
	ErrName = errors.New("authnmtls: no name in the certificate is accepted")
)

// defaultCertificates is the default of Config.MaxCertificates.
const defaultCertificates = 4096

// Certificates is the method of client certificates. Make it with [New]. Safe for concurrent use.
type Certificates struct {
	config  Config
	domains map[spiffeid.TrustDomain]bool
	kept    *tokencache.Cache[verified, *authn.Identity]
	err     error
}

var _ authn.Credential = (*Certificates)(nil)

// verified is a certificate, and what verified it: what one server has verified counts for another
// only if that verifies it in the same way.
type verified struct {
	sum      [sha256.Size]byte // of the certificate
	byBundle bool              // by Config.Bundles, not crypto/tls
}

// New returns the method of client certificates, for authn.New. A certificate that is not verified
// or whose names are not accepted ends the call with UNAUTHENTICATED, "Invalid certificate". An
// accepted one proves its identity until it expires: streams end then. hauberk.New reports what is
// wrong with the settings.
func New(config Config) *Certificates {
	config.DNSNames = slices.Clone(config.DNSNames)
	c := &Certificates{config: config, domains: make(map[spiffeid.TrustDomain]bool)}
	errs := c.errsOfNames()
	names := len(config.TrustDomains) + len(config.DNSNames)
	switch {
	case config.Identity == nil && names == 0:
		errs = append(errs, errors.New("Config has none of TrustDomains, DNSNames and Identity; want at least one"))
	case config.Identity != nil && names > 0:
		errs = append(errs, errors.New(
			"Config has Identity, and TrustDomains or DNSNames, which it replaces; want one of them"))
	case config.Bundles != nil && len(config.TrustDomains) == 0:
		errs = append(errs, errors.New("Config has Bundles without TrustDomains, whose certificates they verify"))
	}
	if n := config.MaxCertificates; n < 0 {
		errs = append(errs, fmt.Errorf(
			"Config.MaxCertificates is %d; want 0 for the default, or a number of certificates", n))
	}
	for _, err := range errs {
		c.err = errors.Join(c.err, fmt.Errorf("authnmtls: %w", err))
	}
	kept := config.MaxCertificates
	if kept <= 0 {
		kept = defaultCertificates
	}
	c.kept = tokencache.New[verified, *authn.Identity](kept)
	return c
}

// errsOfNames reads Config.TrustDomains, and returns what is wrong with them and with Config.DNSNames.
func (c *Certificates) errsOfNames() (errs []error) {
	for _, name := range c.config.TrustDomains {
		domain, err := spiffeid.TrustDomainFromString(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("Config.TrustDomains has %q: %w", name, err))
		case name != domain.Name() && name != domain.IDString(): // which ignores a path
			errs = append(errs, fmt.Errorf("Config.TrustDomains has %q; want a trust domain such as %q, "+
				"all of whose IDs are accepted, or Config.Identity for single IDs", name, domain.Name()))
		default:
			c.domains[domain] = true
		}
	}
	for _, name := range c.config.DNSNames {
		if strings.Trim(name, ".") == "" || strings.ContainsAny(name, "* /:") {
			errs = append(errs, fmt.Errorf(`Config.DNSNames has %q; want a name such as "a.example.org", `+
				`or ".example.org" for all names under it`, name))
		}
	}
	return errs
}

// Name returns "mtls".
func (*Certificates) Name() string { return "mtls" }

// Credential returns "certificate".
func (*Certificates) Credential() string { return "certificate" }

// JudgesAll reports whether every certificate is judged: without Config.Identity, which can leave one to
// the next method. hauberk.New then reports a later method of certificates, which would never run.
func (c *Certificates) JudgesAll() bool { return c.config.Identity == nil }

// Err returns what is wrong with the settings, or nil.
func (c *Certificates) Err() error {
	if c.err == nil && c.kept == nil {
		return errors.New("authnmtls: Certificates has no settings; make it with authnmtls.New")
	}
	return c.err
}

// Authenticate returns the identity of the connection's certificate.
func (c *Certificates) Authenticate(_ context.Context, call *hauberk.Call) (*authn.Identity, error) {
	p := call.Peer()
	if p == nil { // a transport within the process
		return nil, errNone
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil, errNone
	}
	leaf := info.State.PeerCertificates[0]
	key := verified{sha256.Sum256(leaf.Raw), len(info.State.VerifiedChains) == 0}
	if key.byBundle && c.config.Bundles == nil {
		return nil, reject(ErrUnverified)
	}
	now := time.Now()
	if id, ok := c.kept.Get(key, now); ok && !id.Expired(now) { // or revoked
		return id, nil
	}
	id, err := c.identify(&info.State, key.byBundle)
	if err != nil {
		return nil, err
	}
	until := id.Expires
	if again := now.Add(bundleAge); key.byBundle && again.Before(until) {
		until = again
	}
	c.kept.Put(key, id, until)
	return id, nil
}

// bundleAge is how long the verification against a bundle counts.
const bundleAge = 5 * time.Minute

// identify returns the identity of a certificate, or a rejection. It verifies one by Config.Bundles
// that crypto/tls did not.
func (c *Certificates) identify(state *tls.ConnectionState, byBundle bool) (*authn.Identity, error) {
	leaf := state.PeerCertificates[0]
	if byBundle {
		if _, _, err := x509svid.Verify(state.PeerCertificates, c.config.Bundles); err != nil {
			return nil, reject(fmt.Errorf("%w: %w", ErrUnverified, err))
		}
	}
	id, err := c.identityOf(leaf)
	switch {
	case errors.Is(err, authn.ErrOtherMethod):
		return nil, errNotJudged
	case err != nil:
		return nil, reject(err)
	case id == nil:
		return nil, reject(errors.New("authnmtls: Config.Identity returned neither an identity nor an error"))
	}
	own := *id // which may be shared
	if own.Expires.IsZero() || leaf.NotAfter.Before(own.Expires) {
		own.Expires = leaf.NotAfter
	}
	if own.Method == "" {
		own.Method = "mtls"
	}
	return &own, nil
}

// identityOf returns the identity that the names in a verified certificate prove.
func (c *Certificates) identityOf(leaf *x509.Certificate) (*authn.Identity, error) {
	if c.config.Identity != nil {
		return c.config.Identity(leaf)
	}
	if id, err := c.spiffe(leaf); id != nil || err != nil {
		return id, err
	}
	if isAuthority(leaf) {
		return nil, fmt.Errorf("%w: it is the certificate of a CA", ErrName)
	}
	for _, name := range leaf.DNSNames {
		if c.accepts(name) {
			return &authn.Identity{Subject: strings.ToLower(name)}, nil
		}
	}
	return nil, ErrName
}

// spiffe returns the identity of an X.509-SVID, or nil if SPIFFE is not asked for or the
// certificate has no URI SAN.
func (c *Certificates) spiffe(leaf *x509.Certificate) (*authn.Identity, error) {
	if len(c.domains) == 0 || len(leaf.URIs) == 0 {
		return nil, nil //nolint:nilnil // neither an identity nor a reason against one
	}
	id, err := x509svid.IDFromCert(leaf)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrName, err)
	case !c.domains[id.TrustDomain()]:
		return nil, fmt.Errorf("%w: the trust domain %q", ErrName, id.TrustDomain().Name())
	case id.Path() == "": // X509-SVID, 5.2, which x509svid does not check
		return nil, fmt.Errorf("%w: the SPIFFE ID %q has no path", ErrName, id)
	case isAuthority(leaf), leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return nil, fmt.Errorf("%w: the certificate of %q is not for a workload", ErrName, id)
	default:
		return &authn.Identity{Subject: id.String(), Issuer: id.TrustDomain().IDString()}, nil
	}
}

// isAuthority reports whether a certificate is for signing others.
func isAuthority(c *x509.Certificate) bool {
	return c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0
}

// accepts reports whether a DNS SAN is one of DNSNames.
func (c *Certificates) accepts(name string) bool {
	name = strings.ToLower(name)
	if strings.ContainsAny(name, "*\x00") {
		return false
	}
	for _, want := range c.config.DNSNames {
		want = strings.ToLower(want)
		if name == want || strings.HasPrefix(want, ".") && len(name) > len(want) && strings.HasSuffix(name, want) {
			return true
		}
	}
	return false
}

func reject(cause error) error {
	r := hauberk.Reject(codes.Unauthenticated, ReasonInvalidCertificate, "Invalid certificate")
	r.Cause = invalidError{cause}
	return r
}

// invalidError is why a certificate is rejected. errors.Is finds authn.ErrInvalidToken in it, whose text
// is about tokens, and none of the errors by which a method passes a call to the next one.
type invalidError struct{ cause error }

func (e invalidError) Error() string { return e.cause.Error() }

func (e invalidError) Is(target error) bool {
	switch target {
	case authn.ErrNoCredential, authn.ErrOtherMethod:
		return false
	default:
		return target == authn.ErrInvalidToken || errors.Is(e.cause, target)
	}
}

func (e invalidError) As(target any) bool { return errors.As(e.cause, target) }

// errNotJudged passes the call to the next method. It is as if there were no certificate.
var errNotJudged = fmt.Errorf("authnmtls: Config.Identity does not judge the certificate: %w", authn.ErrNoCredential)

// errNone passes the call to the next method.
var errNone = fmt.Errorf("authnmtls: the connection has no client certificate: %w", authn.ErrNoCredential)
