package e2e_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// The sidecar listens on a socket, and removes it at the end. The socket of a sidecar that was
// killed is replaced. That of one that runs is not.
func TestSocket(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			to := upstream(t)
			listen := func() *process {
				p := start(t, io.Discard, binary, "run", "--listen", "unix:"+path, "--upstream", to, "--transport", transport)
				p.says(t, `^hauberk: listening on (unix:`+regexp.QuoteMeta(path)+`), upstream `)
				return p
			}
			killed := listen()
			killed.signal(t, syscall.SIGKILL)
			_ = killed.wait(t)
			if _, err := os.Lstat(path); err != nil {
				t.Fatalf("the socket of the killed sidecar: %v", err)
			}
			gate := listen()
			if _, err := dial(t, "unix:"+path).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
				t.Error(err)
			}
			second := start(t, io.Discard, binary, "run", "--listen", "unix:"+path, "--upstream", to)
			second.says(t, `^hauberk: cannot listen: .*(a process listens on the socket)$`)
			if second.wait(t) == nil {
				t.Error("a second sidecar listens on the socket")
			}
			if err := gate.stop(t); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}
