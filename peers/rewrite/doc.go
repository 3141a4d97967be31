// Package rewrite rewrites the Go files of a copy of another project, so that its
// servers and clients call package behind. The rules are mechanical and by type:
//
//   - grpc.NewServer, NewClient, Dial and DialContext become those of package behind;
//   - a value passed as a parameter that is a registrar of services, an interface
//     with RegisterService, is passed as behind.Registrar(value), and so is the
//     receiver of a RegisterService method;
//   - a value passed as a grpc.ClientConnInterface is passed as behind.Conn(value),
//     and so is a *grpc.ClientConn whose Invoke or NewStream is called;
//   - net.Listen becomes behind.Listen, and the results of any other method
//     Listen(context, network, address) pass behind.Front.
package rewrite
