package attacks_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/internal/filesaves"
	"github.com/hauberk-rpc/hauberk/policy"
)

// livePolicy writes a policy whose parts all carry a name: the header that the outermost interceptor adds, the metadata
// that the first and the last set, the trailer, the key that authenticates, the method with a limit, the domain of
// errors, and the metadata of the client.
// n makes the file of audit another one: a file has one writer, and that of a policy before may still write.
func livePolicy(name string, n int64) string {
	limited := map[string]string{"a": "ClientStream", "b": "ServerStream"}[name]
	return strings.NewReplacer("NAME", name, "LIMITED", limited, "NUMBER", strconv.FormatInt(n, 10)).Replace(`version: 1
require_end: true
error_domain: NAME.example
server:
  - {use: transform, id: outer, header: {x-header: NAME}, metadata: {set: {x-outer: NAME}}}
  - {use: request_id, header: x-id-NAME}
  - {use: authn, api_keys: {file: keys-NAME}}
  - {use: rate_limit, id: few, limit: 1/1h, methods: [hauberk.test.v1.TestService/LIMITED]}
  - {use: audit, file: {path: audit-NUMBER.log}}
  - {use: transform, id: inner, trailer: {x-trailer: NAME}, metadata: {set: {x-inner: NAME}}}
client:
  - {use: transform, metadata: {set: {x-client-outer: NAME}}}
  - {use: deadline, max: 1h}
  - {use: transform, metadata: {set: {x-client-inner: NAME}}}
...
`)
}

// liveWorld is a server and a client on 127.0.0.1 with a policy that follows its file.
type liveWorld struct {
	file   *policy.File
	path   string
	client testpb.TestServiceClient
	torn   atomic.Int64 // calls whose handler has seen parts of two policies
	ran    atomic.Int64
	saves  atomic.Int64
}

func newLiveWorld(t *testing.T) *liveWorld {
	t.Helper()
	dir := t.TempDir()
	w := &liveWorld{path: filepath.Join(dir, "policy.yaml")}
	for _, name := range []string{"a", "b"} {
		line := "caller " + authn.HashAPIKey(strings.Repeat(name, 40)) + "\n"
		if err := os.WriteFile(filepath.Join(dir, "keys-"+name), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.save(t, "a")
	w.file = must(policy.Open(w.path, policy.WithLogger(slog.New(slog.DiscardHandler))))
	srv := w.file.Server().NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: w.handle})
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn := must(grpc.NewClient(lis.Addr().String(),
		w.file.Client().DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...))
	w.client = testpb.NewTestServiceClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		if err := errors.Join(<-served, w.file.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// save replaces the file by a rename.
func (w *liveWorld) save(t *testing.T, name string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(w.path+".new", []byte(livePolicy(name, w.saves.Add(1))), 0o600), os.Rename(w.path+".new", w.path)); err != nil {
		t.Fatal(err)
	}
}

// handle checks what the chains have set.
func (w *liveWorld) handle(ctx context.Context, s hauberktest.Stream) error {
	w.ran.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	one := func(key string) string { return strings.Join(md.Get(key), ",") }
	name := one("x-outer")
	if one("x-inner") != name || one("x-client-outer") != one("x-client-inner") || one("x-api-key")[:1] != name {
		w.torn.Add(1)
	}
	return hauberktest.Echo(ctx, s)
}

// call makes a call and returns an error if it has parts of two policies, or an unexpected outcome.
func (w *liveWorld) call(kind hauberk.Kind, key string) error {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "x-api-key", strings.Repeat(key, 40)))
	defer cancel()
	var header, trailer metadata.MD
	opts := []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)}
	req := &testpb.Request{Text: "hello"}
	var err error
	switch kind {
	case hauberk.Unary:
		_, err = w.client.Unary(ctx, req, opts...)
	case hauberk.ClientStream:
		var stream grpc.ClientStreamingClient[testpb.Request, testpb.Response]
		if stream, err = w.client.ClientStream(ctx, opts...); err == nil {
			_ = stream.Send(req)
			_, err = stream.CloseAndRecv()
		}
	case hauberk.ServerStream:
		var stream grpc.ServerStreamingClient[testpb.Response]
		if stream, err = w.client.ServerStream(ctx, req, opts...); err == nil {
			err = toEnd(stream)
		}
	default:
		var stream grpc.BidiStreamingClient[testpb.Request, testpb.Response]
		if stream, err = w.client.Bidi(ctx, opts...); err == nil {
			_ = stream.Send(req)
			_ = stream.CloseSend()
			err = toEnd(stream)
		}
	}
	return consistent(kind, key, metadata.Join(header, trailer), err)
}

// toEnd receives until a stream ends.
func toEnd(stream interface {
	Recv() (*testpb.Response, error)
},
) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// consistent returns an error if an outcome is not that of one policy.
func consistent(kind hauberk.Kind, key string, md metadata.MD, err error) error {
	name := strings.Join(md.Get("x-header"), ",")
	limited := map[string]hauberk.Kind{"a": hauberk.ClientStream, "b": hauberk.ServerStream}[name]
	domain := ""
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			domain = info.GetDomain()
		}
	}
	ok := false
	switch status.Code(err) {
	case codes.OK:
		ok = key == name && strings.Join(md.Get("x-trailer"), ",") == name
	case codes.Unauthenticated:
		ok = key != name && domain == name+".example"
	case codes.ResourceExhausted:
		ok = key == name && kind == limited && domain == name+".example"
	default:
	}
	if ok {
		return nil
	}
	return fmt.Errorf("a call of %v with the key %s has the header %q, %v and the domain %q, %w", kind, key, name, md, domain, err)
}

// reloadUnderCalls makes calls of all kinds while two policies replace each other 50 times a second.
func reloadUnderCalls(t *testing.T, calls int) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	w := newLiveWorld(t)
	const callers = 8
	var calling, reloading sync.WaitGroup
	over := make(chan struct{})
	reloads := 0
	reloading.Go(func() {
		ticker := time.NewTicker(time.Second / 50)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
			}
			reloads++
			w.save(t, []string{"a", "b"}[reloads%2])
			if err := w.file.Reload(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for n := range callers {
		calling.Go(func() {
			for i := range calls / callers {
				if err := w.call(kinds[i%4], []string{"a", "b"}[(n+i/4)%2]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	calling.Wait()
	close(over)
	reloading.Wait()
	if n := w.torn.Load(); n > 0 {
		t.Errorf("%d handlers have seen parts of two policies", n)
	}
	if w.ran.Load() == 0 || reloads == 0 {
		t.Errorf("%d handlers ran, and there were %d reloads", w.ran.Load(), reloads)
	}
	t.Logf("%d calls, %d handlers, %d reloads", calls, w.ran.Load(), reloads)
}

// No call has parts of two policies, with 50 reloads a second.
func TestC04NoHalfOfAPolicy(t *testing.T) { reloadUnderCalls(t, 10_000) }

// TestSoakC04NoHalfOfAPolicy is TestC04NoHalfOfAPolicy with 1,000,000 calls.
func TestSoakC04NoHalfOfAPolicy(t *testing.T) {
	soakTime(t)
	reloadUnderCalls(t, 1_000_000)
}

// savePolicies saves a policy 1,000 times in each way, and waits until it is in force after each batch.
func savePolicies(t *testing.T, batch int) {
	t.Helper()
	const saves = 1000
	for way, save := range filesaves.Ways() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "policy.yaml")
			text := func(n int) string {
				return fmt.Sprintf("version: 1\nrequire_end: true\nerror_domain: n%d.example\n...\n", n)
			}
			if err := os.WriteFile(path, []byte(text(0)), 0o600); err != nil {
				t.Fatal(err)
			}
			states := make(chan policy.State, saves)
			file := must(policy.Open(path, policy.WithLogger(slog.New(slog.DiscardHandler)),
				policy.WithListener(func(s policy.State) { states <- s })))
			defer file.Close()
			var longest time.Duration
			for n := 1; n <= saves; n++ {
				if err := save(path, text(n)); err != nil {
					t.Fatal(err)
				}
				if n%batch != 0 {
					continue
				}
				saved := time.Now()
				waitForText(t, file, states, text(n))
				longest = max(longest, time.Since(saved))
			}
			t.Logf("in force after %v at most", longest)
		})
	}
}

// waitForText waits until a text is in force.
func waitForText(t *testing.T, file *policy.File, states <-chan policy.State, text string) {
	t.Helper()
	want := sha256.Sum256([]byte(text))
	for file.State().Hash != hex.EncodeToString(want[:16]) {
		select {
		case <-states:
		case <-time.After(30 * time.Second):
			t.Fatalf("the file is not in force: %+v", file.State())
		}
	}
}

// Each way of saving a file puts the last content in force, after bursts of 40 saves.
func TestC02Saves(t *testing.T) { savePolicies(t, 40) }

// TestSoakC02Saves is TestC02Saves with each save in force before the next.
func TestSoakC02Saves(t *testing.T) {
	soakTime(t)
	savePolicies(t, 1)
}

// used is what a process holds.
type used struct {
	goroutines, files int
	heap              uint64
}

// use returns what the process holds. files is 0 on systems without /proc.
func use() used {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return used{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// reloadOften replaces two policies by each other while a stream is open and calls are made, and checks that the process
// holds no more than after the first tenth.
func reloadOften(t *testing.T, reloads int) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	w := newLiveWorld(t)
	stream, err := w.client.Bidi(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", strings.Repeat("a", 40)))
	if err != nil {
		t.Fatal(err)
	}
	echo := func() {
		t.Helper()
		if err := stream.Send(&testpb.Request{Text: "hello"}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	echo()
	var before used
	for n := 1; n <= reloads; n++ {
		w.save(t, []string{"a", "b"}[n%2])
		if err := w.file.Reload(); err != nil {
			t.Fatal(err)
		}
		if n%10 == 0 {
			if err := w.call(kinds[n/10%4], []string{"a", "b"}[n/10%2]); err != nil {
				t.Error(err)
			}
			echo()
		}
		if n == reloads/10 {
			before = use()
		}
	}
	within := func(u used) bool {
		return u.goroutines <= before.goroutines+20 && u.files <= before.files+10 && u.heap <= before.heap+8<<20
	}
	after := use()
	for end := time.Now().Add(30 * time.Second); !within(after) && time.Now().Before(end); after = use() {
		runtime.Gosched()
	}
	if !within(after) {
		t.Errorf("after %d reloads: %+v; want at most what was used after a tenth of them, %+v", reloads, after, before)
	}
	t.Logf("%+v, then %+v", before, after)
	echo()
	_ = stream.CloseSend()
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// Reloads leave no goroutines, memory and files behind, and an open stream goes on.
func TestC08Reloads(t *testing.T) { reloadOften(t, 1000) }

// TestSoakC08Reloads is TestC08Reloads with 10,000 reloads.
func TestSoakC08Reloads(t *testing.T) {
	soakTime(t)
	reloadOften(t, 10_000)
}
