// Package authorities reads the certificates of authorities from files.
package authorities

import (
	"crypto/x509"
	"fmt"

	"github.com/hauberk-rpc/hauberk/internal/regularfile"
)

// Read returns the certificates in a PEM file. It is an error if there is none. Errors name the file, and
// have nothing of its content.
func Read(file string) (*x509.CertPool, error) {
	data, err := regularfile.Read(file, regularfile.MaxSize)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}
