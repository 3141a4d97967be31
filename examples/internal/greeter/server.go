// Package greeter is what the example programs share: a service with four methods, a server
// on a free port of this host, clients, and functions that call and print. A program
// contains only what it shows.
package greeter

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
)

// Server is a running server.
type Server struct {
	Addr string

	srv    *hauberk.Server
	conns  []*grpc.ClientConn
	served chan error
}

// Serve starts a server with a chain of interceptors, outermost first.
func Serve(service greeterpb.GreeterServer, interceptors ...hauberk.Interceptor) *Server {
	chain, err := hauberk.New(interceptors...)
	Check(err)
	return ServeChain(service, chain)
}

// ServeChain starts a server with a chain.
func ServeChain(service greeterpb.GreeterServer, chain *hauberk.Chain) *Server {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	Check(err)
	s := &Server{Addr: lis.Addr().String(), srv: chain.NewServer(), served: make(chan error, 1)}
	greeterpb.RegisterGreeterServer(s.srv, service)
	go func() { s.served <- s.srv.Serve(lis) }()
	return s
}

// Conn connects a client with a chain of interceptors, outermost first.
func (s *Server) Conn(interceptors ...hauberk.Interceptor) *grpc.ClientConn {
	chain, err := hauberk.New(interceptors...)
	Check(err)
	opts := chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(s.Addr, opts...)
	Check(err)
	s.conns = append(s.conns, conn)
	return conn
}

// Client returns a client of the greeter on a new Conn.
func (s *Server) Client(interceptors ...hauberk.Interceptor) greeterpb.GreeterClient {
	return greeterpb.NewGreeterClient(s.Conn(interceptors...))
}

// Shutdown shuts the server down as the Drain of its chain says.
func (s *Server) Shutdown(ctx context.Context) error { return s.srv.Shutdown(ctx) }

// Stop closes the clients and returns when the last call of the server has ended.
func (s *Server) Stop() {
	for _, conn := range s.conns {
		Check(conn.Close())
	}
	s.srv.GracefulStop()
	Check(<-s.served)
}
