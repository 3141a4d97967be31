package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/hauberk-rpc/hauberk/internal/authorities"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// TLS configures TLS, either for clients ([Config.TLS]) or to the upstream
// ([Connections.TLS]). Both sides must negotiate h2 (ALPN).
type TLS struct {
	// CertFile and KeyFile are the names of PEM files with the gateway's certificate, followed by
	// those of intermediate authorities, and with the private key. They are read again when they
	// change, as package keypair does; new connections use the new pair. They are required for
	// clients, and optional to the upstream.
	CertFile, KeyFile string

	// CAFile is the name of a PEM file with the authorities of the other side's certificate.
	// For clients, "" requests no certificates. With a file, clients must have a certificate
	// that it verifies (mTLS). To the upstream, "" means the authorities of the system.
	CAFile string

	// ServerName is the name that the certificate of the upstream must have. "" means the host
	// of the upstream's address, and localhost for sockets. It is not used for clients.
	ServerName string

	// MinVersion is the lowest version: tls.VersionTLS12 or tls.VersionTLS13. 0 means
	// tls.VersionTLS12.
	MinVersion uint16

	// Failed is called with each new reason why CertFile and KeyFile cannot be used, and with nil
	// when they can be used again, as keypair.Config.Failed is. nil ignores the reasons.
	Failed func(error)
}

// check returns what is wrong. of is the name of the field.
func (t *TLS) check(of string, server bool) error {
	switch {
	case t == nil:
		return nil
	case (t.CertFile == "") != (t.KeyFile == ""):
		return fmt.Errorf("gateway: %s has one of CertFile and KeyFile; want both or none", of)
	case server && t.CertFile == "":
		return fmt.Errorf("gateway: %s has no CertFile and KeyFile", of)
	case server && t.ServerName != "":
		return fmt.Errorf("gateway: %s has a ServerName, which is only for the upstream", of)
	case t.MinVersion != 0 && t.MinVersion != tls.VersionTLS12 && t.MinVersion != tls.VersionTLS13:
		return fmt.Errorf("gateway: %s.MinVersion is %#x; want tls.VersionTLS12 or tls.VersionTLS13, or 0 for 1.2",
			of, t.MinVersion)
	}
	return nil
}

// open reads the files. release ends the watching of the certificate.
func (t *TLS) open(server bool) (config *tls.Config, release func(), err error) {
	release = func() {}
	if t == nil {
		return nil, release, nil
	}
	config = &tls.Config{
		MinVersion: max(t.MinVersion, tls.VersionTLS12), NextProtos: []string{"h2"}, ServerName: t.ServerName,
	}
	if t.CAFile != "" {
		pool, err := authorities.Read(t.CAFile)
		if err != nil {
			return nil, release, fmt.Errorf("CAFile: %w", err)
		}
		if config.RootCAs = pool; server {
			config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
		}
	}
	if t.CertFile != "" {
		pair, err := keypair.Open(keypair.Config{CertFile: t.CertFile, KeyFile: t.KeyFile, Failed: t.Failed})
		if err != nil {
			return nil, release, fmt.Errorf("CertFile, KeyFile: %w", err)
		}
		config.GetCertificate, config.GetClientCertificate = pair.GetCertificate, pair.GetClientCertificate
		release = pair.Close
	}
	return config, release, nil
}

// secrets are the configurations of TLS of both sides; nil means plain text.
type secrets struct {
	clients, upstream *tls.Config
	release           func()
}

// openTLS reads the files of both sides.
func (c Config) openTLS() (s secrets, err error) {
	clients, releaseClients, errClients := c.TLS.open(true)
	if errClients != nil {
		errClients = fmt.Errorf("gateway: TLS: %w", errClients)
	}
	upstream, releaseUpstream, errUpstream := c.Connections.TLS.open(false)
	if errUpstream != nil {
		errUpstream = fmt.Errorf("gateway: Connections.TLS: %w", errUpstream)
	}
	s = secrets{clients, upstream, func() {
		releaseClients()
		releaseUpstream()
	}}
	if err = errors.Join(errClients, errUpstream); err != nil {
		s.release()
	}
	return s, err
}
