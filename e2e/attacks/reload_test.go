package attacks_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// certFiles are the files of a server's certificate and key, as Kubernetes mounts a secret:
// tls.crt and tls.key are symbolic links into a folder, and so is the name of the folder.
type certFiles struct {
	dir    string
	folder int
}

func newCertFiles(t *testing.T, pair tls.Certificate) *certFiles {
	t.Helper()
	f := &certFiles{dir: t.TempDir()}
	f.mount(t, pair)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(f.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *certFiles) path(name string) string { return filepath.Join(f.dir, name) }

// mount replaces both files at once.
func (f *certFiles) mount(t *testing.T, pair tls.Certificate) {
	t.Helper()
	f.folder++
	folder := f.path("..data" + string(rune('a'+f.folder%2)))
	cert, key := tlsFiles(pair)
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700),
		os.WriteFile(filepath.Join(folder, "tls.crt"), []byte(cert), 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), []byte(key), 0o600),
		os.Symlink(folder, f.path("..new")), os.Rename(f.path("..new"), f.path("..data"))); err != nil {
		t.Fatal(err)
	}
}

// write writes a file in place.
func (f *certFiles) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(f.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace replaces the file of a name by another one.
func (f *certFiles) replace(t *testing.T, name, text string) {
	t.Helper()
	f.write(t, name+".new", text)
	data := filepath.Join(f.path("..data"), name)
	if err := os.Rename(f.path(name+".new"), data); err != nil {
		t.Fatal(err)
	}
}

// reloadWorld is a server that renews its certificate, under load.
type reloadWorld struct {
	*target

	files      *certFiles
	reports    chan error
	handshakes atomic.Int64
	calls      atomic.Int64
}

func newReloadWorld(t *testing.T, pair tls.Certificate) *reloadWorld {
	t.Helper()
	w := &reloadWorld{files: newCertFiles(t, pair), reports: make(chan error, 1000)}
	source, err := keypair.Open(keypair.Config{
		CertFile: w.files.path("tls.crt"), KeyFile: w.files.path("tls.key"), Every: 2 * time.Millisecond,
		Failed: func(err error) { w.reports <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	creds := credentials.NewTLS(&tls.Config{GetCertificate: source.GetCertificate})
	w.target = setup{
		options: append(hauberk.ServerLimits(), grpc.Creds(creds)), creds: credentials.NewTLS(tlsClient(nil)),
	}.serve(t)
	return w
}

// shake makes a new connection and returns the certificate of the server. A failed handshake fails
// the test.
func (w *reloadWorld) shake(t *testing.T) (*x509.Certificate, bool) {
	t.Helper()
	conn, err := tls.Dial("tcp", w.addr, tlsClient(nil))
	if err != nil {
		t.Errorf("a handshake failed: %v", err)
		return nil, false
	}
	defer conn.Close()
	w.handshakes.Add(1)
	return conn.ConnectionState().PeerCertificates[0], true
}

// load makes connections and calls until the function that it returns is called.
func (w *reloadWorld) load(t *testing.T) (stop func()) {
	t.Helper()
	var ended atomic.Bool
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for !ended.Load() {
				if _, ok := w.shake(t); !ok {
					return
				}
			}
		})
	}
	client := testpb.NewTestServiceClient(w.conn) // its connection stays open
	group.Go(func() {
		for !ended.Load() {
			if _, err := client.Unary(t.Context(), &testpb.Request{}); err != nil {
				t.Errorf("a call failed: %v", err)
				return
			}
			w.calls.Add(1)
		}
	})
	return func() { ended.Store(true); group.Wait() }
}

// keeps waits until a reason is reported, and checks that the server has a certificate still.
func (w *reloadWorld) keeps(t *testing.T, serial, reason string) {
	t.Helper()
	for {
		select {
		case err := <-w.reports:
			if err == nil || !strings.Contains(err.Error(), reason) {
				continue
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no report of %q", reason)
		}
		break
	}
	for range 3 {
		if cert, ok := w.shake(t); ok && cert.SerialNumber.String() != serial {
			t.Errorf("with %q, the server has the certificate %v; want %s", reason, cert.SerialNumber, serial)
		}
	}
}

// changes waits until the server has a certificate.
func (w *reloadWorld) changes(t *testing.T, serial string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		cert, ok := w.shake(t)
		if !ok || cert.SerialNumber.String() == serial {
			return
		}
	}
	t.Fatalf("the server did not take the certificate %s", serial)
}

// certSerial returns the serial number of a certificate.
func certSerial(c tls.Certificate) string {
	return must(x509.ParseCertificate(c.Certificate[0])).SerialNumber.String()
}

// round replaces the files by each kind of bad pair, and then by a good one.
func (w *reloadWorld) round(t *testing.T, n int, old tls.Certificate) (renewed tls.Certificate) {
	t.Helper()
	renewed = tlsCA().issue(withDNS(serverName))
	serial := certSerial(old)
	oldCert, oldKey := tlsFiles(old)
	cert, key := tlsFiles(renewed)
	// A reason is reported if it is new: two steps in succession have different ones. No step is
	// half of a good pair with the step before.
	for _, step := range []struct{ cert, key, reason string }{
		{cert, oldKey, "does not match"},
		{cert[:len(cert)/2], key, "0 of 1 certificates"},
		{oldCert, key, "does not match"},
		{oldCert, key[:len(key)/2], "any PEM data in key"},
		{oldCert + cert[:len(cert)/2], oldKey, "1 of 2 certificates"},
		{"", "", "any PEM data in certificate"},
	} {
		w.files.write(t, "tls.crt", step.cert)
		w.files.write(t, "tls.key", step.key)
		w.keeps(t, serial, step.reason)
	}
	w.files.mount(t, tlsCA().issue(withDNS(serverName), withTimes(-2*time.Hour, -time.Hour)))
	w.keeps(t, serial, "expired at")
	if err := os.Remove(filepath.Join(w.files.path("..data"), "tls.key")); err != nil {
		t.Fatal(err)
	}
	w.keeps(t, serial, "no such file")
	switch n % 3 {
	case 0:
		w.files.write(t, "tls.crt", cert)
		w.files.write(t, "tls.key", key)
	case 1:
		w.files.replace(t, "tls.key", key)
		w.files.replace(t, "tls.crt", cert)
	default:
		w.files.mount(t, renewed)
	}
	w.changes(t, certSerial(renewed))
	return renewed
}

// reloadUnderLoad makes rounds as long as more says.
func reloadUnderLoad(t *testing.T, more func(round int) bool) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	current := tlsCA().issue(withDNS(serverName))
	w := newReloadWorld(t, current)
	stop := w.load(t)
	defer stop()
	for n := 0; more(n) && !t.Failed(); n++ {
		current = w.round(t, n, current)
	}
	stop()
	if executed := w.ledger.take(); int64(len(executed)) != w.calls.Load() {
		t.Errorf("%d calls were executed; want %d", len(executed), w.calls.Load())
	}
	t.Logf("%d handshakes, %d calls", w.handshakes.Load(), w.calls.Load())
}

// A pair of certificate and key that does not match, is half-written, has expired or is missing
// leaves the old one in force; a good one replaces it. No handshake and no call fails.
func TestT16CertificateReload(t *testing.T) {
	reloadUnderLoad(t, func(round int) bool { return round < 3 })
}

// TestSoakT16CertificateReload is TestT16CertificateReload for the duration in HAUBERK_SOAK.
func TestSoakT16CertificateReload(t *testing.T) {
	end := time.Now().Add(soakTime(t))
	reloadUnderLoad(t, func(int) bool { return time.Now().Before(end) })
}
