package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestMigrationGuidesCode: the Go blocks of the guides are in the files that they
// name. Tests of this package compile and run these files.
func TestMigrationGuidesCode(t *testing.T) {
	block := regexp.MustCompile("(?s)(?:<!-- from (\\S+) -->\n)?```go\n(.*?)```")
	for guide := range migrationGuides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if len(blocks) < 2 {
			t.Errorf("%s: %d Go blocks; want at least one of before and one of after", guide, len(blocks))
		}
		for _, b := range blocks {
			source, err := os.ReadFile(filepath.Join("..", b[1]))
			if b[1] == "" || err != nil {
				t.Errorf("%s: a Go block names no existing file (%v):\n%s", guide, err, b[2])
			} else if !strings.Contains(string(source), b[2]) {
				t.Errorf("%s: this is not in %s:\n%s", guide, b[1], b[2])
			}
		}
	}
}

// migration is the code of a guide, before or after the migration.
type migration struct {
	server []grpc.ServerOption
	// register wraps the server's registrar; nil if the program does not.
	register func(srv grpc.ServiceRegistrar) grpc.ServiceRegistrar
	client   []grpc.DialOption
}

// call makes calls of two kinds and a call that is rejected, and returns their codes.
func (m migration) call(t *testing.T) (got []codes.Code) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	srv := grpc.NewServer(m.server...)
	var registrar grpc.ServiceRegistrar = srv
	if m.register != nil {
		registrar = m.register(srv)
	}
	testpb.RegisterTestServiceServer(registrar, &hauberktest.Backend{})
	listener := bufconn.Listen(1 << 16)
	go func() { _ = srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///shop", append(m.client,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	client := testpb.NewTestServiceClient(conn)
	for _, token := range []string{"good", "bad"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
		_, err := client.Unary(ctx, &testpb.Request{})
		got = append(got, status.Code(err))
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer good"), time.Minute)
	defer cancel()
	stream, err := client.ServerStream(ctx, &testpb.Request{})
	for err == nil {
		_, err = stream.Recv()
	}
	_ = conn.Close()
	srv.GracefulStop()
	return append(got, status.Code(err))
}
