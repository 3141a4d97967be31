package hauberktest_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// ends is a server whose Serve returns an error once it is stopped.
type ends struct {
	err     error
	stopped chan struct{}
}

func (e *ends) Serve(net.Listener) error {
	<-e.stopped
	return e.err
}

func (e *ends) Stop() { close(e.stopped) }

// Errors of Serve fail the test, other than that of a server that was stopped.
func TestServe(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, c := range map[string]struct {
		srv    hauberktest.Server
		failed string
	}{
		"a server": {grpc.NewServer(), ""},
		"stopped":  {&ends{grpc.ErrServerStopped, make(chan struct{})}, ""},
		"failed":   {&ends{errors.New("no listener"), make(chan struct{})}, "the server ended with no listener"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reports{TB: t}
			hauberktest.Serve(r, c.srv, bufconn.Listen(1))()
			if got := strings.Join(r.texts, "\n"); got == "" != (c.failed == "") || !strings.Contains(got, c.failed) {
				t.Errorf("the test fails with %q; want %q", got, c.failed)
			}
		})
	}
}
