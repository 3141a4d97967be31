package attacks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
)

const serverName = "server.example.org"

// tlsAuthority signs certificates.
type tlsAuthority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// The authority of servers and clients, and another one.
var (
	tlsCA    = sync.OnceValue(func() *tlsAuthority { return newTLSAuthority("ca") })
	tlsOther = sync.OnceValue(func() *tlsAuthority { return newTLSAuthority("other") })
)

func newTLSAuthority(name string) *tlsAuthority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return &tlsAuthority{must(x509.ParseCertificate(der)), key}
}

func (a *tlsAuthority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// tlsSerial is that of the last certificate.
var tlsSerial atomic.Int64

// issue returns a certificate for servers and clients with changes to the usual one.
func (a *tlsAuthority) issue(changes ...func(*x509.Certificate)) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(tlsSerial.Add(1)), Subject: pkix.Name{CommonName: "billing.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, change := range changes {
		change(template)
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// withDNS adds DNS names, withURI a URI.
func withDNS(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func withURI(id string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.URIs = append(c.URIs, must(url.Parse(id))) }
}

// withRawSAN adds a name of any bytes; the tags are those of RFC 5280: 2 for DNS names, 6 for URIs.
func withRawSAN(tag int, name string) func(*x509.Certificate) {
	value := must(asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(name)}}))
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
}

func withTimes(from, until time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until)
	}
}

// tlsFiles returns the PEM texts of a certificate and its key.
func tlsFiles(c tls.Certificate) (cert, key string) {
	der := must(x509.MarshalPKCS8PrivateKey(c.PrivateKey))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// tlsClient returns the settings of a client. certificate may be nil.
func tlsClient(certificate *tls.Certificate) *tls.Config {
	if certificate == nil {
		certificate = new(tls.Certificate)
	}
	return &tls.Config{
		ServerName: serverName, RootCAs: tlsCA().pool(), NextProtos: []string{"h2"},
		// Unlike Certificates, it sends the certificate for any authorities that the server names.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
	}
}

// tlsServer are credentials of a server that record why handshakes failed.
type tlsServer struct {
	credentials.TransportCredentials

	failures chan error
}

func newTLSServer(config *tls.Config) tlsServer {
	return tlsServer{credentials.NewTLS(config), make(chan error, 1<<14)}
}

func (s tlsServer) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := s.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		select {
		case s.failures <- err:
		default: // enough of them are kept
		}
	}
	return secure, info, err
}

func (s tlsServer) Clone() credentials.TransportCredentials {
	return tlsServer{s.TransportCredentials.Clone(), s.failures}
}

// failure returns why a handshake failed, for which it waits.
func (s tlsServer) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.failures:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("no handshake failed")
		return nil
	}
}
