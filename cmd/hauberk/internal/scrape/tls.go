package scrape

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/keypair"
)

// TLS has the files of the flags --telemetry-tls-cert and --telemetry-tls-key. Empty is plain text.
//
//nolint:recvcheck // Add sets the fields
type TLS struct{ Cert, Key string }

// Add adds the flags.
func (f *TLS) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Cert, "telemetry-tls-cert", "",
		"file with the certificate of --telemetry in PEM (default: plain text)")
	flags.StringVar(&f.Key, "telemetry-tls-key", "", "file with the key of that certificate in PEM")
}

// check returns what is wrong with the flags.
func (f TLS) check(address string) error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return errors.New("one of --telemetry-tls-cert and --telemetry-tls-key is missing; want both or none")
	case f.Cert != "" && address == "":
		return errors.New("--telemetry-tls-cert needs --telemetry")
	default:
		return nil
	}
}

// open reads the files, and watches them. It returns nil without TLS.
func (f TLS) open() (*tls.Config, *keypair.Pair, error) {
	if f.Cert == "" {
		return nil, nil, nil
	}
	pair, err := keypair.Open(keypair.Config{CertFile: f.Cert, KeyFile: f.Key})
	if err != nil {
		return nil, nil, fmt.Errorf("--telemetry-tls-cert, --telemetry-tls-key: %w", err)
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
