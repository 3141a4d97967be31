package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// pathToServe is the variable of the environment with which the test binary is a server that writes its records
// to this path.
const pathToServe = "HAUBERK_AUDIT_SERVE"

// killedSize is the FileConfig.MaxSize of that server: a file has few records, so that processes are killed at each
// point of a rotation.
const killedSize = 1500

func TestMain(m *testing.M) {
	if path := os.Getenv(pathToServe); path != "" {
		if err := serve(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var clientID = hauberk.NewKey[string]("client_id")

// serve serves until the process is killed, and writes the address to standard output.
func serve(path string) error {
	file, err := audit.OpenFile(audit.FileConfig{Path: path, MaxSize: killedSize})
	if err != nil {
		return err
	}
	identify := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		clientID.Set(call, strings.Join(call.Metadata(ctx, "client-id"), ","))
		return next(ctx, call)
	})
	chain, err := hauberk.New(identify, audit.New(audit.Config{}, file, audit.State("id", clientID)))
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	if _, err := fmt.Fprintln(os.Stdout, lis.Addr()); err != nil {
		return err
	}
	return srv.Serve(lis)
}

// seen is what clients have seen: records that the file must have. Safe for concurrent use.
type seen struct {
	mu      sync.Mutex
	records map[string]bool // stage and ID of a call

	count atomic.Int64
}

func (s *seen) add(stage audit.Stage, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[stage.String()+" "+id] = true
	s.count.Add(1)
}

// Whenever the process of a server is killed, the files have the records of all responses and statuses that clients
// have seen, and the next process continues them.
func TestKill(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	random := testseed.Rand(t, 1)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	all := seen{records: make(map[string]bool)}
	for round := range rounds {
		killOnce(t, path, round, int64(random.IntN(60)), &all)
		if round%10 == 0 { // as if the kernel had written a part of a line only
			tear(t, path)
		}
	}
	paths, err := audit.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for i, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range audit.Read(file) {
			if err != nil && (i < len(paths)-1 || !errors.Is(err, audit.ErrTorn)) {
				t.Errorf("%s: %v", path, err)
			}
			found[r.Stage.String()+" "+r.State["id"]] = true
		}
		_ = file.Close()
	}
	if len(paths) < rounds {
		t.Errorf("only %d files in %d rounds", len(paths), rounds)
	}
	for record := range all.records {
		if !found[record] {
			t.Errorf("a client has seen the response of %s, which has no record", record)
		}
	}
	if len(all.records) < rounds*10 {
		t.Errorf("only %d records in %d rounds", len(all.records), rounds)
	}
}

// tear appends a part of a line to a file.
func tear(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteString(`{"time":"2026-`)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// killOnce starts a server, calls it from several clients and kills it when they have seen some more records than
// least.
func killOnce(t *testing.T, path string, round int, least int64, all *seen) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), pathToServe+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		t.Fatalf("round %d: the server has not started: %v, %v", round, err, cmd.Wait())
	}
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimSpace(address), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kill := make(chan struct{})
	var once sync.Once
	enough := all.count.Load() + least + 10
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			client := testpb.NewTestServiceClient(conn)
			for n := 0; ; n++ {
				err := callOnce(t.Context(), client, fmt.Sprintf("%d-%d-%d", round, c, n), n%2 == 0, all)
				if all.count.Load() >= enough || err != nil {
					once.Do(func() { close(kill) })
				}
				if err != nil {
					return // the server is gone
				}
			}
		})
	}
	<-kill
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	clients.Wait()
	_ = cmd.Wait() // the error is that of the signal
}

// callOnce makes a call and notes what it sees.
func callOnce(ctx context.Context, client testpb.TestServiceClient, id string, unary bool, all *seen) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "client-id", id)
	if unary {
		_, err := client.Unary(ctx, &testpb.Request{})
		if err == nil {
			all.add(audit.StageEnd, id)
		}
		return err
	}
	stream, err := client.ServerStream(ctx, &testpb.Request{Count: 3})
	if err != nil {
		return err
	}
	for {
		switch _, err := stream.Recv(); {
		case errors.Is(err, io.EOF):
			all.add(audit.StageEnd, id)
			return nil
		case err != nil:
			return err
		}
		all.add(audit.StageStart, id)
	}
}
