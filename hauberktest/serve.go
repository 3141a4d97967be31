package hauberktest

import (
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
)

// Server is a server that Serve serves: a *grpc.Server or a *hauberk.Server.
type Server interface {
	Serve(lis net.Listener) error
	Stop()
}

// Serve serves on a new goroutine. stop stops the server and waits until its Serve has returned. An error of Serve,
// other than that the server was stopped, fails the test. Call stop once, before the test ends; t.Cleanup(stop) does.
// It does not close connections of clients: close them before.
func Serve(t testing.TB, srv Server, lis net.Listener) (stop func()) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	return func() {
		t.Helper()
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("hauberktest: the server ended with %v", err)
		}
	}
}
