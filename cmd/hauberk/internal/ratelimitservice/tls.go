package ratelimitservice

import (
	"crypto/tls"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk/internal/authorities"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// tlsFiles are the files of TLS for calls. All empty is plain text.
type tlsFiles struct {
	cert, key, clientCA string
}

func (f tlsFiles) set() bool { return f.cert != "" }

// check returns what is wrong with the flags.
func (f tlsFiles) check() error {
	switch {
	case (f.cert == "") != (f.key == ""):
		return errors.New("one of --tls-cert and --tls-key is missing; want both or none")
	case f.clientCA != "" && f.cert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	default:
		return nil
	}
}

// open reads the files. release ends the watching of the certificate. failed is called with each new reason why
// the files are not good, and with nil when they are again.
func (f tlsFiles) open(failed func(error)) (opts []grpc.ServerOption, release func(), err error) {
	if !f.set() {
		return nil, func() {}, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.clientCA != "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		if config.ClientCAs, err = authorities.Read(f.clientCA); err != nil {
			return nil, nil, fmt.Errorf("--tls-client-ca: %w", err)
		}
	}
	pair, err := keypair.Open(keypair.Config{CertFile: f.cert, KeyFile: f.key, Failed: failed})
	if err != nil {
		return nil, nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	config.GetCertificate = pair.GetCertificate
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(config))}, pair.Close, nil
}
