package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// dial connects a client. Outside of an example it uses credentials.NewTLS.
func dial(addr string, out telemetry, token authn.TokenSource) (*grpc.ClientConn, error) {
	chain, err := clientChain(out, token)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}
