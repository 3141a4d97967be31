// Package demo implements the command `hauberk demo`: a small shop on a grpc-go server
// with a real TCP listener, its shoppers as clients in the same process, and interceptor
// chains on both ends. The server's chain checks JWTs of an issuer that rotates its key,
// authorizes and limits users; the clients' chains retry and have a circuit breaker. Some
// calls fail on purpose.
package demo
