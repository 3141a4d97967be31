package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// serveShop serves the services of the scripts with reflection, and returns the address.
func serveShop(t *testing.T, env *testscript.Env) string {
	t.Helper()
	srv := grpc.NewServer()
	policypb.RegisterCartServer(srv, policypb.UnimplementedCartServer{})
	policypb.RegisterCatalogServer(srv, policypb.UnimplementedCatalogServer{})
	reflection.Register(srv)
	lis := listen(t)
	go func() { _ = srv.Serve(lis) }()
	env.Defer(srv.Stop)
	return lis.Addr().String()
}

// writeDescriptors writes the descriptors of the services as shop.binpb.
func writeDescriptors(dir string) error {
	var set descriptorpb.FileDescriptorSet
	seen := make(map[string]bool)
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(policypb.File_internal_policypb_shop_proto)
	data, err := proto.Marshal(&set)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "shop.binpb"), data, 0o600)
}

// writeCertificate writes a certificate for 127.0.0.1 as tls.crt, with its key as tls.key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: cert}, "tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
