package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
)

// In a program these are authn and authz.
var (
	authenticate = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: "alice", Method: "jwt"})
		return next(ctx, call)
	})
	authorize = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Kind() == hauberk.Bidi {
			return hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "not allowed")
		}
		return next(ctx, call)
	})
)

// The file has the records of calls, also of those that were rejected.
func Example() {
	folder, err := os.MkdirTemp("", "audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "audit.jsonl")
	file, err := audit.OpenFile(audit.FileConfig{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	chain := hauberk.Must(hauberk.New(
		audit.New(audit.Config{
			Requests: []audit.Request{{Methods: []string{"hauberk.test.v1.TestService/*"}, Fields: []string{"text", "secret"}}},
		}, file),
		authenticate, authorize,
	))
	request := func(msg any) error {
		m := msg.(*testpb.Request)
		m.Text, m.Secret = "hello", "s3cret"
		return nil
	}
	_ = hauberktest.Direct{Kind: hauberk.Unary, Decode: request}.Server(chain)(context.Background())
	_ = hauberktest.Direct{Kind: hauberk.Bidi, Decode: request}.Server(chain)(context.Background())
	if err := file.Close(); err != nil {
		fmt.Println(err)
	}

	written, err := os.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer written.Close()
	for r, err := range audit.Read(written) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%v %s who=%q request=%v code=%v\n", r.Stage, r.Method, r.Who.Subject, r.Request, r.Code)
	}
	// Output:
	// end hauberk.test.v1.TestService/Unary who="alice" request=map[secret:[redacted] text:hello] code=OK
	// start hauberk.test.v1.TestService/Bidi who="" request=map[] code=OK
	// end hauberk.test.v1.TestService/Bidi who="alice" request=map[] code=PermissionDenied
}

// Admitted writes the record at the start where the caller is known, before the handler runs.
func ExampleInterceptor_Admitted() {
	records := audit.New(audit.Config{Start: audit.StartAll},
		audit.SinkFunc(func(_ context.Context, r audit.Record) error {
			fmt.Println(r.Stage, r.Kind, r.Who.Subject)
			return nil
		}))
	handler := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		fmt.Println("the handler runs")
		return next(ctx, call)
	})
	chain := hauberk.Must(hauberk.New(records, authenticate, authorize, records.Admitted(), handler))
	_ = hauberktest.Direct{Kind: hauberk.Unary}.Server(chain)(context.Background())
	_ = hauberktest.Direct{Kind: hauberk.Bidi}.Server(chain)(context.Background()) // authorize rejects it
	// Output:
	// start unary alice
	// the handler runs
	// end unary alice
	// end bidi_stream alice
}

// A call whose record is not stored has no response.
func ExampleNew_failClosed() {
	full := audit.SinkFunc(func(context.Context, audit.Record) error { return fmt.Errorf("no space left on the device") })
	chain := hauberk.Must(hauberk.New(audit.New(audit.Config{}, full)))
	err := hauberktest.Direct{}.Server(chain)(context.Background())
	fmt.Println(hauberk.CodeOf(err), hauberk.Reason(err))
	// Output: Unavailable AUDIT_FAILED
}

// A file is renamed when it is full. Files lists all files, the oldest first.
func ExampleFiles() {
	folder, err := os.MkdirTemp("", "audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "audit.jsonl")
	file, err := audit.OpenFile(audit.FileConfig{Path: path, MaxSize: 1, Keep: 2}) // in a program MaxSize: 1 << 30
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 5 {
		r := audit.Record{Stage: audit.StageStart, Call: fmt.Sprint(n)}
		if err := file.Write(context.Background(), r); err != nil {
			fmt.Println(err)
		}
	}
	if err := file.Close(); err != nil {
		fmt.Println(err)
	}

	paths, err := audit.Files(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range paths {
		written, err := os.Open(path)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for r, err := range audit.Read(written) {
			fmt.Println(r.Call, err)
		}
		_ = written.Close()
	}
	// Output:
	// 2 <nil>
	// 3 <nil>
	// 4 <nil>
}
