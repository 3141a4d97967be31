// Package stage is what the examples stand on: a real server on a free port of this
// host, clients of it, and a few lines that call and print, so that each program
// shows its own subject only. How a chain is put on a server and a connection is in
// stage.Serve and Server.Client here, and at length in composedserver and
// composedchannel.
package stage

import (
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Server is a running server.
type Server struct {
	Addr string

	srv    *hauberk.Server
	conns  []*grpc.ClientConn
	served chan error
}

// Serve starts a server of the test service whose calls pass interceptors,
// outermost first.
func Serve(service testpb.TestServiceServer, interceptors ...hauberk.Interceptor) *Server {
	chain, err := hauberk.New(interceptors...)
	Check(err)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	Check(err)
	s := &Server{Addr: lis.Addr().String(), srv: chain.NewServer(), served: make(chan error, 1)}
	testpb.RegisterTestServiceServer(s.srv, service)
	go func() { s.served <- s.srv.Serve(lis) }()
	return s
}

// Conn connects a client whose calls pass interceptors, outermost first.
func (s *Server) Conn(interceptors ...hauberk.Interceptor) *grpc.ClientConn {
	chain, err := hauberk.New(interceptors...)
	Check(err)
	opts := chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(s.Addr, opts...)
	Check(err)
	s.conns = append(s.conns, conn)
	return conn
}

// Client is a client of the test service on a Conn of its own.
func (s *Server) Client(interceptors ...hauberk.Interceptor) testpb.TestServiceClient {
	return testpb.NewTestServiceClient(s.Conn(interceptors...))
}

// Stop closes the clients and returns when the server's last call has ended.
func (s *Server) Stop() {
	for _, conn := range s.conns {
		Check(conn.Close())
	}
	s.srv.GracefulStop()
	Check(<-s.served)
}
