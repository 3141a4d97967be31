package web

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/keypair"
)

// TLS has the files of a certificate, in PEM. Empty is plain text.
//
//nolint:recvcheck // Add sets the fields
type TLS struct{ Cert, Key string }

// Add adds the flags --LISTENER-tls-cert and --LISTENER-tls-key.
func (f *TLS) Add(flags *pflag.FlagSet, listener string) {
	flags.StringVar(&f.Cert, listener+"-tls-cert", "",
		"file with the certificate of --"+listener+" in PEM (default: plain text)")
	flags.StringVar(&f.Key, listener+"-tls-key", "", "file with the key of that certificate in PEM")
}

// check returns what is wrong with the flags.
func (f TLS) check(listener, address string) error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return fmt.Errorf("one of --%[1]s-tls-cert and --%[1]s-tls-key is missing; want both or none", listener)
	case f.Cert != "" && address == "":
		return fmt.Errorf("--%[1]s-tls-cert needs --%[1]s", listener)
	default:
		return nil
	}
}

// open reads the files, and watches them. It returns nil without TLS.
func (f TLS) open(listener string) (*tls.Config, *keypair.Pair, error) {
	if f.Cert == "" {
		return nil, nil, nil
	}
	pair, err := keypair.Open(keypair.Config{CertFile: f.Cert, KeyFile: f.Key})
	if err != nil {
		return nil, nil, fmt.Errorf("--%[1]s-tls-cert, --%[1]s-tls-key: %[2]w", listener, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: pair.GetCertificate, NextProtos: []string{"http/1.1"},
	}, pair, nil
}

func closePair(pair *keypair.Pair) {
	if pair != nil {
		pair.Close()
	}
}

// verifyName returns an error if the certificate in use is not one for a host.
func verifyName(pair *keypair.Pair, host string) error {
	certificate, err := pair.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		return err
	}
	if certificate.Leaf == nil {
		return errors.New("the certificate is not parsed")
	}
	return certificate.Leaf.VerifyHostname(host)
}
