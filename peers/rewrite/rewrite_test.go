package rewrite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hauberk-rpc/hauberk/peers/rewrite"
)

const before = `package sample

import (
	"context"
	"net"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

func serve(desc *rpc.ServiceDesc) error {
	srv := rpc.NewServer(rpc.MaxRecvMsgSize(1))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	reflection.Register(srv)
	srv.RegisterService(desc, nil)
	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		return err
	}
	return srv.Serve(lis)
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	lis, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	return lis, err
}

func call(ctx context.Context) error {
	cc, err := rpc.NewClient("localhost:1", rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if _, err := healthpb.NewHealthClient(cc).Check(ctx, nil); err != nil {
		return err
	}
	return cc.Invoke(ctx, "/a/b", nil, nil)
}
`

const after = `package sample

import "github.com/hauberk-rpc/hauberk/peers/behind"

import (
	"context"
	"net"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

func serve(desc *rpc.ServiceDesc) error {
	srv := behind.NewServer(rpc.MaxRecvMsgSize(1))
	healthpb.RegisterHealthServer(behind.Registrar(srv), health.NewServer())
	reflection.Register(behind.Registrar(srv))
	behind.Registrar(srv).RegisterService(desc, nil)
	lis, err := behind.Listen("tcp", ":0")
	if err != nil {
		return err
	}
	return srv.Serve(lis)
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	lis, err := behind.Front(config.Listen(ctx, "tcp", "127.0.0.1:0"))
	return lis, err
}

func call(ctx context.Context) error {
	cc, err := behind.NewClient("localhost:1", rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if _, err := healthpb.NewHealthClient(behind.Conn(cc)).Check(ctx, nil); err != nil {
		return err
	}
	return behind.Conn(cc).Invoke(ctx, "/a/b", nil, nil)
}
`

const beforeTest = `package sample

import (
	"testing"

	"google.golang.org/grpc"
)

func TestServer(t *testing.T) { grpc.NewServer().Stop() }
`

const afterTest = `package sample

import "github.com/hauberk-rpc/hauberk/peers/behind"

import (
	"testing"

	_ "google.golang.org/grpc"
)

func TestServer(t *testing.T) { behind.NewServer().Stop() }
`

// TestPackages rewrites a package that is, for its imports, within this module.
func TestPackages(t *testing.T) {
	dir, err := os.MkdirTemp(".", "testdata-") //nolint:usetesting // it has to be in this module
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if dir, err = filepath.Abs(dir); err != nil {
		t.Fatal(err)
	}
	files := map[string]struct{ before, after string }{
		"sample.go": {before, after}, "sample_test.go": {beforeTest, afterTest},
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.before), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rewrite.Packages(dir, os.Environ(), "."); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != f.after {
			t.Errorf("%s is now\n%s\nwant\n%s", name, got, f.after)
		}
	}
}
