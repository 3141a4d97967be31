package keypair

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/reload"
)

// Config holds the settings of [Open]. CertFile and KeyFile are required.
type Config struct {
	// CertFile is the name of a PEM file with the certificate, followed by those of the
	// intermediate authorities.
	CertFile string
	// KeyFile is the name of a PEM file with the private key.
	KeyFile string
	// Every is the time between two looks at the files. New content counts if two looks in
	// succession find it. The default, 0, is half a second.
	Every time.Duration
	// Failed is called with each new reason why the files are not good, and with nil when they
	// are again. The text of a reason has no content of the key file. Failed is called by one
	// goroutine at a time, and must not call Close. Its panics are ignored. The default, nil, ignores
	// the reasons.
	Failed func(error)
}

// maxBytes is the largest size of each file.
const maxBytes = 1 << 20

var errZero = errors.New("keypair: a zero Pair has no files; make it with keypair.Open")

// Pair is a certificate and its private key, as the files have them. Make it with [Open]. Safe for
// concurrent use.
type Pair struct {
	files *reload.File[*tls.Certificate]
}

// Open reads the files, and watches them until Close. Each way of replacing files works: in place,
// by rename, by a symbolic link as of a Kubernetes secret; in any order of the two.
//
// The last good pair stays in force while
//   - a file is missing, larger than 1 MiB, or half-written;
//   - the key is not that of the certificate;
//   - the certificate has expired, or is not valid yet. In the second case it is used as soon as it
//     is valid.
//
// If the files are not good when Open reads them, it returns an error. A pair in force that expires
// stays in force: clients reject it until the files have a new one.
func Open(config Config) (*Pair, error) {
	if config.CertFile == "" || config.KeyFile == "" {
		return nil, errors.New("keypair: Config has no CertFile or no KeyFile; want the names of two files")
	}
	files, err := reload.OpenAll([]string{config.CertFile, config.KeyFile}, parse, nil, reload.Settings{
		Every: config.Every, MaxBytes: maxBytes, Retry: true, Failed: config.Failed,
	})
	if err != nil {
		return nil, fmt.Errorf("keypair: %w", err)
	}
	return &Pair{files}, nil
}

// parse returns the pair in the contents of the two files, if it is valid now.
func parse(contents [][]byte) (*tls.Certificate, error) {
	if err := whole(contents[0]); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	now := time.Now()
	switch {
	case err != nil:
		return nil, err
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired at %v", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("the certificate is not valid before %v", leaf.NotBefore)
	}
	return &pair, nil
}

// marker begins each block of a PEM file.
const marker = "-----BEGIN "

// whole returns an error if a certificate of a PEM file is not complete, also if the file ends within the
// marker of one. crypto/tls would leave it out, and clients would lack an intermediate authority.
func whole(file []byte) error {
	begun, complete := bytes.Count(file, []byte(marker)), 0
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		complete++
	}
	last := string(file[bytes.LastIndexByte(file, '\n')+1:])
	if last != "" && len(last) < len(marker) && strings.HasPrefix(marker, last) {
		begun++
	}
	if complete != begun {
		return fmt.Errorf("%d of %d certificates are complete", complete, begun)
	}
	return nil
}

// GetCertificate returns the pair in force. It is a tls.Config.GetCertificate, for servers.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p.files == nil {
		return nil, errZero
	}
	return p.files.Get(), nil
}

// GetClientCertificate returns the pair in force. It is a tls.Config.GetClientCertificate.
func (p *Pair) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if p.files == nil {
		return nil, errZero
	}
	return p.files.Get(), nil
}

// Close ends the watching of the files, and waits for its goroutine. The pair in force remains.
func (p *Pair) Close() {
	if p.files != nil {
		p.files.Close()
	}
}
