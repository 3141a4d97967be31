// Package demo is the command `hauberk demo`: a small shop served by grpc-go on a
// real TCP listener, shoppers who call all it has, with calls that fail, and chains
// on both ends: tokens and limits of users on the server, retries and a breaker on
// the clients.
package demo
