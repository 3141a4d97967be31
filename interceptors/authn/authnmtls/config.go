package authnmtls

import (
	"crypto/x509"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// Config holds the settings of [New]. One of TrustDomains, DNSNames and Identity is required.
type Config struct {
	// TrustDomains are the SPIFFE trust domains all of whose IDs are accepted, such as "example.org".
	// The subject is the whole ID, "spiffe://example.org/billing", and the issuer its trust
	// domain. The certificate must be an X.509-SVID of a workload: exactly one URI SAN, an ID with a
	// path, no CA, and a key usage with digitalSignature, without those for signing certificates and
	// CRLs.
	TrustDomains []string
	// DNSNames are the DNS names that are accepted: whole names such as "billing.example.org",
	// or all names under a domain, as ".example.org". Case does not matter. The subject is the
	// first DNS SAN of the certificate that is accepted. Certificates of a CA are not accepted, nor
	// wildcards.
	DNSNames []string
	// Identity returns the identity that a certificate proves, instead of TrustDomains and
	// DNSNames. An error that wraps [authn.ErrOtherMethod] passes the call to the next method, as
	// if the connection had no certificate; any other rejects it. Method is set if it is empty, and
	// Expires if it is empty or later than the certificate's end. It also judges certificates of a CA:
	// check IsCA. It runs once for a certificate that is kept, and again when the identity has expired or
	// is revoked. It must be safe for concurrent use.
	Identity func(*x509.Certificate) (*authn.Identity, error)
	// Bundles verifies X.509-SVIDs that crypto/tls did not, as with go-spiffe's
	// tlsconfig.MTLSServerConfig. Its certificates must be of TrustDomains.
	Bundles x509bundle.Source
	// MaxCertificates is how many certificates are kept with their identities, so that each is
	// verified once. The default, 0, is 4096. With Bundles a certificate is verified again
	// after five minutes, since bundles change.
	MaxCertificates int
}
