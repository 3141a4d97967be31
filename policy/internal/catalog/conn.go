package catalog

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk/internal/authorities"
	"github.com/hauberk-rpc/hauberk/keypair"
	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// connForm is a connection to a service that an interceptor asks.
type connForm struct {
	// Address is the target of the connection, such as "dns:///limits:8081".
	Address string `policy:"required"`
	// TLS connects with TLS. It or insecure is required.
	TLS *limitsfile.TLS
	// Insecure connects without TLS.
	Insecure bool
}

// dial makes the connection, which connects with the first call.
func (f *connForm) dial(b *Build) (*grpc.ClientConn, error) {
	if (f.TLS != nil) == f.Insecure {
		return nil, errors.New("address needs one of tls and insecure: true")
	}
	creds := insecure.NewCredentials()
	if f.TLS != nil {
		config, err := tlsOf(b, f.TLS)
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(f.Address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, fmt.Errorf("Address is %.100q: %w", f.Address, err) //nolint:staticcheck // the name of the field
	}
	b.own(conn)
	return conn, nil
}

// tlsOf reads the files of a client's settings of TLS.
func tlsOf(b *Build, form *limitsfile.TLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: form.ServerName}
	if (form.CertFile == "") != (form.KeyFile == "") {
		return nil, errors.New("tls has one of cert_file and key_file; want both or none")
	}
	b.readOnce(form.CAFile)
	if form.CAFile != "" {
		pool, err := authorities.Read(form.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CAFile: %w", err)
		}
		config.RootCAs = pool
	}
	if form.CertFile != "" {
		pair, err := keypair.Open(keypair.Config{CertFile: form.CertFile, KeyFile: form.KeyFile})
		if err != nil {
			return nil, err
		}
		b.own(pair)
		config.GetClientCertificate = pair.GetClientCertificate
	}
	return config, nil
}

// checkFolder reports a file whose folder does not exist.
func checkFolder(path string) error {
	if path == "" {
		return errors.New("Path is empty; want the path of a file") //nolint:staticcheck // the name of the field
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", filepath.Dir(path))
	}
	return nil
}
