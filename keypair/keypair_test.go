package keypair_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk/keypair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are the contents of a certificate file and a key file.
type files struct{ cert, key string }

// issue returns a certificate with a serial number that is valid between two times, and its key.
func issue(t *testing.T, serial int64, from, until time.Time) files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: until}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return files{text("CERTIFICATE", cert), text("PRIVATE KEY", der)}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serial(t *testing.T, pair *keypair.Pair) int64 {
	t.Helper()
	server, err := pair.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := pair.GetClientCertificate(nil)
	if err != nil || client != server {
		t.Fatalf("the clients' certificate is %v, %v; want that of servers", client, err)
	}
	return server.Leaf.SerialNumber.Int64()
}

// TestPair: a good pair replaces the one in force, and a bad one does not, and is reported without
// its key.
func TestPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		day := func(serial int64) files { return issue(t, serial, now.Add(-time.Hour), now.Add(24*time.Hour)) }
		one, two, three := day(1), day(2), day(3)
		dir := t.TempDir()
		config := keypair.Config{CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
		var mu sync.Mutex // guards reports
		var reports []error
		config.Failed = func(err error) { mu.Lock(); defer mu.Unlock(); reports = append(reports, err) }
		write(t, config.CertFile, one.cert)
		write(t, config.KeyFile, one.key)
		pair, err := keypair.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		defer pair.Close()
		for _, step := range []struct {
			name  string
			files files
			want  int64
			bad   string // "" if the files are good
		}{
			{"the same", one, 1, ""},
			{"the certificate comes first", files{two.cert, one.key}, 1, "private key does not match"},
			{"then its key", two, 2, ""},
			{"the key comes first", files{two.cert, three.key}, 2, "private key does not match"},
			{"then its certificate", three, 3, ""},
			{"half a certificate", files{one.cert[:len(one.cert)/2], one.key}, 3, "0 of 1"},
			{"half a key", files{one.cert, one.key[:len(one.key)/2]}, 3, "failed to find any PEM data in key"},
			{"half an intermediate", files{one.cert + two.cert[:len(two.cert)/2], one.key}, 3, "1 of 2"},
			{"a damaged one before it", files{two.cert[:len(two.cert)/2] + "\n" + one.cert, one.key}, 3, "1 of 2"},
			{"empty", files{"", ""}, 3, "failed to find any PEM data in certificate"},
			{"garbage", files{"\x00\xff", one.key}, 3, "failed to find any PEM data in certificate"},
			{"large", files{strings.Repeat("x", 1<<20+1), one.key}, 3, "too large"},
			{"expired", issue(t, 4, now.Add(-2*time.Hour), now.Add(-time.Hour)), 3, "expired at"},
			{"with an intermediate", files{one.cert + two.cert, one.key}, 1, ""},
			{"with a text", files{"subject=/CN=x\n" + two.cert, two.key}, 2, ""},
			{"not valid yet", issue(t, 5, now.Add(2*time.Minute), now.Add(24*time.Hour)), 2, "not valid before"},
		} {
			write(t, config.CertFile, step.files.cert)
			write(t, config.KeyFile, step.files.key)
			time.Sleep(time.Second) //nolint:forbidigo // synctest: the clock is fake
			synctest.Wait()
			if got := serial(t, pair); got != step.want {
				t.Errorf("%s: the pair %d is in force; want %d", step.name, got, step.want)
			}
			var last error
			mu.Lock()
			if len(reports) > 0 {
				last = reports[len(reports)-1]
			}
			mu.Unlock()
			if (last != nil) != (step.bad != "") || last != nil && !strings.Contains(last.Error(), step.bad) {
				t.Errorf("%s: the report is %v; want %q", step.name, last, step.bad)
			}
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // as above
		if got := serial(t, pair); got != 5 {
			t.Errorf("later the pair %d is in force; want the one that is valid now", got)
		}
		pair.Close()
		for _, err := range reports {
			if err != nil && strings.Contains(err.Error(), one.key[40:60]) {
				t.Errorf("%v has the key", err)
			}
		}
	})
}

// TestCutFile: a file with an intermediate authority that ends at any byte of that is not good.
func TestCutFile(t *testing.T) {
	now := time.Now()
	leaf, authority := issue(t, 1, now.Add(-time.Hour), now.Add(time.Hour)), issue(t, 2, now.Add(-time.Hour), now.Add(time.Hour))
	dir := t.TempDir()
	config := keypair.Config{CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	write(t, config.KeyFile, leaf.key)
	for _, lineEnd := range []string{"\n", "\r\n"} {
		first := strings.ReplaceAll(leaf.cert, "\n", lineEnd)
		whole := strings.TrimSpace(first + strings.ReplaceAll(authority.cert, "\n", lineEnd))
		for n := len(first); n <= len(whole); n++ {
			write(t, config.CertFile, whole[:n])
			pair, err := keypair.Open(config)
			if good := n == len(first) || n == len(whole); good != (err == nil) {
				t.Errorf("%d bytes of the authority's %d, %q: %v", n-len(first), len(whole)-len(first), whole[max(n-20, 0):n], err)
			}
			if err == nil {
				pair.Close()
			}
		}
	}
}

// TestOpen: files that are bad at the start are errors, and a zero Pair fails.
func TestOpen(t *testing.T) {
	now := time.Now()
	good, other := issue(t, 1, now.Add(-time.Hour), now.Add(time.Hour)), issue(t, 2, now.Add(-time.Hour), now.Add(time.Hour))
	dir := t.TempDir()
	config := keypair.Config{CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	for want, files := range map[string]files{
		"no such file":     {},
		"does not match":   {good.cert, other.key},
		"0 of 1":           {good.cert[:100], good.key},
		"expired at":       issue(t, 3, now.Add(-2*time.Hour), now.Add(-time.Hour)),
		"not valid before": issue(t, 4, now.Add(time.Hour), now.Add(2*time.Hour)),
	} {
		if files.cert == "" {
			_ = os.Remove(config.CertFile)
		} else {
			write(t, config.CertFile, files.cert)
			write(t, config.KeyFile, files.key)
		}
		if _, err := keypair.Open(config); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), config.CertFile) {
			t.Errorf("Open returned %v; want %q and the file's name", err, want)
		}
	}
	for _, c := range []keypair.Config{{}, {CertFile: config.CertFile}, {KeyFile: config.KeyFile}} {
		if _, err := keypair.Open(c); err == nil || !strings.Contains(err.Error(), "want the names of two files") {
			t.Errorf("Open returned %v; want an error about the names", err)
		}
	}
	var zero keypair.Pair
	zero.Close()
	if _, err := zero.GetCertificate(new(tls.ClientHelloInfo)); err == nil {
		t.Error("a zero Pair has a certificate")
	}
	if _, err := zero.GetClientCertificate(new(tls.CertificateRequestInfo)); err == nil {
		t.Error("a zero Pair has a certificate")
	}
}
