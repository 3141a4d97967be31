// Package keypair reads a TLS certificate and its private key from files, and reads them again when
// they change, for servers and clients of crypto/tls:
//
//	pair, err := keypair.Open(keypair.Config{CertFile: "tls.crt", KeyFile: "tls.key"})
//	...
//	defer pair.Close()
//	creds := credentials.NewTLS(&tls.Config{GetCertificate: pair.GetCertificate})
//	srv := chain.NewServer(grpc.Creds(creds))
//
// A new pair is used for new connections; connections that are open keep the old one. A pair that
// is not good never replaces a good one.
package keypair
