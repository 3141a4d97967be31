package behind

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// set makes the process run with a chain until the test ends.
func set(t *testing.T, chain string) (mark, address string) {
	t.Helper()
	mark, address = filepath.Join(t.TempDir(), "used"), filepath.Join(t.TempDir(), "address")
	t.Setenv(ChainVar, chain)
	t.Setenv(UsedVar, mark)
	t.Setenv(AddressVar, address)
	before := current
	current = sync.OnceValue(func() setup { return newSetup(chain) })
	t.Cleanup(func() { current = before })
	return mark, address
}

func TestCallsPassWithEveryChain(t *testing.T) {
	for _, chain := range append(Chains(), Bare) {
		t.Run(orBare(chain), func(t *testing.T) {
			mark, address := set(t, chain)
			srv := NewServer()
			healthpb.RegisterHealthServer(Registrar(srv), health.NewServer())
			reflection.Register(Registrar(srv))
			lis, err := Listen("tcp", ":0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = srv.Serve(lis) }()
			defer srv.Stop()

			to, err := os.ReadFile(address)
			if err != nil || string(to) != lis.Addr().String() {
				t.Errorf("the address is announced as %q, %v; want %v", to, err, lis.Addr())
			}
			check(t, string(to))
			if _, err := os.Stat(mark); (err == nil) != (chain != Bare) {
				t.Errorf("the mark that a chain was used: %v", err)
			}
		})
	}
}

func orBare(chain string) string {
	if chain == Bare {
		return "bare"
	}
	return chain
}

func check(t *testing.T, addr string) {
	t.Helper()
	cc, err := NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close() }()
	client := healthpb.NewHealthClient(Conn(Conn(cc)))
	if _, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("unary: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Errorf("stream: %v", err)
	}
}

func TestListenWithoutAHostIsOnTheLoopbackInterface(t *testing.T) {
	set(t, Bare)
	lis, err := Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	if ip := lis.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		t.Errorf("listens on %v", ip)
	}
}
