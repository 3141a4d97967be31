package web

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web/webtest"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// files writes the certificate and the key of a test server, and returns a client that trusts it.
func files(t *testing.T) (TLS, *http.Client) {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	f := TLS{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	for path, block := range map[string]*pem.Block{
		f.Cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		f.Key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f, srv.Client()
}

// With the files of a certificate, a handler is served with TLS.
func TestTLS(t *testing.T) {
	hauberktest.CheckLeaks(t)
	f, client := files(t)
	defer client.CloseIdleConnections()
	s, err := tested.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, f, fine)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if resp, body := webtest.Do(t, client, webtest.Request(t, http.MethodGet, s.URL("/"))); body != "ok" || !strings.HasPrefix(s.URL("/"), "https://") {
		t.Errorf("%s answered %s", s.URL("/"), resp.Status)
	}
	if s.VerifyName("example.com") != nil || s.VerifyName("other.example") == nil {
		t.Errorf("names: %v, %v", s.VerifyName("example.com"), s.VerifyName("other.example"))
	}
}

// An address that other machines can reach needs TLS, or the flag --insecure.
func TestResolve(t *testing.T) {
	tests := []struct {
		name     string
		address  string
		files    TLS
		insecure bool
		want     string // a part of the error; "" is none
	}{
		{"loopback", "127.0.0.1:0", TLS{}, false, ""},
		{"plain text", "0.0.0.0:9464", TLS{}, false, "want a loopback address such as 127.0.0.1:9464, --telemetry-tls-cert, or --insecure"},
		{"all addresses", ":9464", TLS{}, false, "serves plain text to other machines"},
		{"insecure", "0.0.0.0:9464", TLS{}, true, ""},
		{"TLS", "0.0.0.0:9464", TLS{"cert.pem", "key.pem"}, false, ""},
		{"no key", "127.0.0.1:0", TLS{Cert: "cert.pem"}, false, "one of --telemetry-tls-cert and --telemetry-tls-key is missing"},
		{"no address", "", TLS{"cert.pem", "key.pem"}, false, "--telemetry-tls-cert needs --telemetry"},
		{"nothing", "", TLS{}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, err := tested.Resolve(t.Context(), tt.address, tt.files, tt.insecure)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if (addr == nil) != (tt.want != "" || tt.address == "") {
				t.Errorf("address %v", addr)
			}
		})
	}
	_, err := tested.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, TLS{"none.pem", "none.pem"}, fine)
	if err == nil || !strings.Contains(err.Error(), "--telemetry-tls-cert, --telemetry-tls-key: ") {
		t.Errorf("without the files: %v", err)
	}
}
