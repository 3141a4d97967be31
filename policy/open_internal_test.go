package policy

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// What only a policy before has is closed once its last call has ended, and not earlier.
func TestPoliciesBeforeAreClosed(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		dir := t.TempDir()
		path := filepath.Join(dir, "policy.yaml")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("version: 1\n" + c.Side.String() + ":\n- {use: audit, file: {path: audit.log}}\n")
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		begun, end := make(chan struct{}), make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			_, _ = s.Recv()
			close(begun)
			<-end
			return s.Send(&testpb.Response{})
		}}
		env := hauberktest.Start(t, hauberktest.Setup{
			Backend: backend, Kind: c.Kind, ServerLive: f.Server(), ClientLive: f.Client(),
		})
		outcome := make(chan error)
		go func() { outcome <- env.Call(t.Context()).Err }()
		<-begun
		audit := f.Policy().instances[0]
		write("version: 1\n")
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			runtime.GC()
		}
		if uses := audit.count(); uses != 1 {
			t.Errorf("%d policies have the instance while a call runs; want 1", uses)
		}
		close(end)
		if err := <-outcome; err != nil {
			t.Error(err)
		}
		for until := time.Now().Add(30 * time.Second); audit.count() > 0; runtime.GC() {
			if time.Now().After(until) {
				t.Fatal("the instance is not closed")
			}
		}
		if data, err := os.ReadFile(filepath.Join(dir, "audit.log")); err != nil || len(data) == 0 {
			t.Errorf("no record of the call: %q, %v", data, err)
		}
	})
}

// count returns how many policies have an instance.
func (i *instance) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.uses
}
