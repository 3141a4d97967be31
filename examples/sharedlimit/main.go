// Command sharedlimit limits the calls to two servers together, through a Redis that it starts.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	addr, stopRedis, err := startRedis()
	if err != nil {
		return err
	}
	defer stopRedis()
	first, stopFirst := node(addr)
	defer stopFirst()
	second, stopSecond := node(addr)
	defer stopSecond()

	fmt.Println("two servers share a limit of 3 calls of a user in an hour")
	for range 2 {
		first("alice")
		second("alice")
	}
	stopRedis()
	fmt.Println("without Redis each of them admits half of the limit, rounded up")
	for range 3 {
		first("bob")
	}
	return nil
}

// node starts a server and returns a function that calls it.
func node(addr string) (call func(user string), stop func()) {
	store := ratelimitredis.New(ratelimitredis.Config{Name: "greeter", Addresses: []string{addr}})
	limit := ratelimit.New(ratelimit.Config{
		Limit: 3, Per: time.Hour, By: callkey.Metadata("user"), // without authentication
		Shared: ratelimit.Shared{Fail: ratelimit.FailLocal, Nodes: 2, Timeout: 2 * time.Second},
	}, ratelimit.WithStore(store), ratelimit.WithLogger(slog.New(slog.DiscardHandler)))
	server := greeter.Serve(&greeter.Service{}, limit)
	client := greeterpb.NewGreeterClient(server.Conn())
	call = func(user string) {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "user", user)
		_, err := greeter.Call(ctx, client, hauberk.Unary, "ann")
		fmt.Printf("%s: %s\n", user, greeter.Outcome(err))
	}
	return call, func() {
		server.Stop()
		_ = store.Close()
	}
}

// startRedis starts a redis-server without files on a free port, and waits until it accepts connections.
func startRedis() (addr string, stop func(), err error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = lis.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, err
	}
	_ = lis.Close()
	redis := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
	redis.Dir = os.TempDir()
	if err := redis.Start(); err != nil {
		return "", nil, fmt.Errorf("install redis-server first: %w", err)
	}
	stop = func() {
		_ = redis.Process.Kill()
		_ = redis.Wait()
	}
	for range 100 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return addr, stop, conn.Close()
		}
		<-time.After(50 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("redis-server does not accept connections at %s after 5 s", addr)
}
