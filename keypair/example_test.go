package keypair_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/keypair"
)

// A server whose certificate is renewed while it runs. It does not start with files that are not
// good.
func ExampleOpen() {
	pair, err := keypair.Open(keypair.Config{
		CertFile: "testdata/absent.crt",
		KeyFile:  "testdata/absent.key",
		Failed: func(err error) {
			slog.Warn("the TLS certificate is not renewed", "error", err) // nil: it is good again
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pair.Close()
	creds := credentials.NewTLS(&tls.Config{GetCertificate: pair.GetCertificate})
	srv := hauberk.Must(hauberk.New()).NewServer(append(hauberk.ServerLimits(), grpc.Creds(creds))...)
	srv.Stop()
	// Output: keypair: open testdata/absent.crt: no such file or directory
}
