package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk/policy"
)

// TestKeptBodies: entries that keep answers have the same outcomes in a Go service and in a sidecar.
func TestKeptBodies(t *testing.T) {
	n := newNotes(t)
	for _, tt := range []struct {
		name, entry string
		calls       int32 // that a sidecar forwards, of two equal ones with different keys and a repeat of the second
	}{
		{"cache", "{use: cache, ttl: 1h, methods: notes.v1.Notes/Write, across_identities: true}", 1},
		{"coalesce", "{use: coalesce, methods: notes.v1.Notes/Write, across_identities: true}", 3},
		{"idempotency", "{use: idempotency, memory: {}}", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.yaml")
			write(t, path, "version: 1\nserver: ["+tt.entry+"]\n")
			p, err := policy.Load(path, policy.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var behind atomic.Int32
			counting := func(calls *atomic.Int32) grpc.ServerOption {
				return grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
					if info.FullMethodName == "/notes.v1.Notes/Write" {
						calls.Add(1)
					}
					return ctx, nil
				})
			}
			places := map[string]string{"service": n.serve(t, p.Server().NewServer())}
			upstream := n.serve(t, grpc.NewServer(counting(&behind)))
			for _, transport := range transports {
				_, address := sidecar(t, io.Discard, upstream, "-c", path, "--transport", transport, "--descriptors", n.set)
				places[transport] = address
			}
			for at, address := range places {
				behind.Store(0)
				conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				for i, key := range []string{`"first-key-of-a-note"`, `"other-key-of-a-note"`, `"other-key-of-a-note"`} {
					ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", key)
					opts := [][]grpc.CallOption{{grpc.UseCompressor(gzip.Name)}, nil, {grpc.UseCompressor(gzip.Name)}}[i]
					opts = append(opts, grpc.WaitForReady(true))
					got := dynamicpb.NewMessage(n.note)
					err := conn.Invoke(ctx, "/notes.v1.Notes/Write", n.of("a", "b"), got, opts...)
					if err != nil || got.Get(n.note.Fields().ByName("owner")).String() != "b" {
						t.Errorf("%s, call %d: %v, %v", at, i, got, err)
					}
				}
				if c := behind.Load(); at != "service" && c != tt.calls {
					t.Errorf("%s: %d calls were forwarded; want %d", at, c, tt.calls)
				}
			}
		})
	}
}
