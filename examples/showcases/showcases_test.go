package showcases_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/examples/showcases"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// with returns a context whose calls have metadata.
func with(pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), pairs...)
}

// printAll makes a call of each kind and prints the outcomes.
func printAll(ctx context.Context, client greeterpb.GreeterClient) {
	for _, kind := range greeter.Kinds() {
		texts, err := greeter.Call(ctx, client, kind, "Ada")
		fmt.Println(kind, texts, greeter.Outcome(err))
	}
}

// inFlight returns how many calls of a client are in flight. It waits for calls that are being ended.
func inFlight(m *metrics.Interceptor) uint64 {
	for begin := time.Now(); ; <-time.After(time.Millisecond) {
		n := uint64(0)
		for _, s := range m.Snapshot().Client.Methods {
			n += s.InFlight
		}
		if n == 0 || time.Since(begin) > 10*time.Second {
			return n
		}
	}
}

func ExampleHeadroomServer() {
	slow := &greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		if req, err := s.Recv(); err != nil || req.GetName() != "slow" {
			return s.Send(&greeterpb.HelloReply{Text: "hello"})
		}
		<-ctx.Done() // such as an outgoing call that takes too long; 20 ms are left to say so
		return fmt.Errorf("the archive has no answer: %w", ctx.Err())
	}}
	server := greeter.Serve(slow, showcases.HeadroomServer(time.Minute, func(time.Duration) {})...)
	gauge := metrics.New(metrics.Config{})
	client := server.Client(showcases.HeadroomClient(200*time.Millisecond, gauge)...)
	printAll(context.Background(), client)

	_, err := client.Greet(context.Background(), &greeterpb.HelloRequest{Name: "slow"})
	fmt.Println(hauberk.CodeOf(err), strings.Contains(err.Error(), "Greeter/Greet timed out after"), hauberk.Reason(err))

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	_, err = client.Greet(short, &greeterpb.HelloRequest{Name: "Ada"})
	cancel()
	fmt.Println(hauberk.CodeOf(err))

	abandoned, cancel := context.WithCancel(context.Background())
	_, err = client.Chat(abandoned) // and never read
	greeter.Check(err)
	cancel()
	server.Stop()
	fmt.Println("in flight:", inFlight(gauge))
	// Output:
	// unary [hello] OK
	// client_stream [hello] OK
	// server_stream [hello] OK
	// bidi_stream [hello] OK
	// DeadlineExceeded true TIMED_OUT
	// DeadlineExceeded
	// in flight: 0
}

func ExampleGuardTenants() {
	valid := func(tenant string) bool { return tenant == "acme" }
	second := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		return s.Send(&greeterpb.HelloReply{Text: "for " + showcases.Tenant.Or(ctx, "no one")})
	}}, showcases.GuardTenants(valid))
	onward := second.Client(showcases.SendTenant())
	first := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		texts, err := greeter.Call(ctx, onward, hauberk.Bidi, "Ada") // a stream has the tenant as well
		if err != nil {
			return err
		}
		return s.Send(&greeterpb.HelloReply{Text: texts[0]})
	}}, showcases.GuardTenants(valid))
	printAll(with("x-tenant", "acme"), first.Client())
	printAll(with("x-tenant", "umbra"), first.Client())
	first.Stop()
	second.Stop()
	// Output:
	// unary [for acme] OK
	// client_stream [for acme] OK
	// server_stream [for acme] OK
	// bidi_stream [for acme] OK
	// unary [] PermissionDenied "unknown tenant" TENANT_UNKNOWN
	// client_stream [] PermissionDenied "unknown tenant" TENANT_UNKNOWN
	// server_stream [] PermissionDenied "unknown tenant" TENANT_UNKNOWN
	// bidi_stream [] PermissionDenied "unknown tenant" TENANT_UNKNOWN
}

func ExampleGuardCluster() {
	server := greeter.Serve(&greeter.Service{}, showcases.GuardCluster(false, "east"))
	printAll(context.Background(), server.Client(showcases.SendCluster("east")))
	printAll(context.Background(), server.Client(showcases.SendCluster("west")))
	server.Stop()
	soft := greeter.Serve(&greeter.Service{}, showcases.GuardCluster(true, "east"))
	printAll(context.Background(), soft.Client(showcases.SendCluster("west")))
	soft.Stop()
	// Output:
	// unary [Hello, Ada] OK
	// client_stream [Hello, Ada] OK
	// server_stream [Hello, Ada] OK
	// bidi_stream [Hello, Ada] OK
	// unary [] FailedPrecondition "the call is meant for [\"west\"]; this is [\"east\"]" WRONG_CLUSTER
	// client_stream [] FailedPrecondition "the call is meant for [\"west\"]; this is [\"east\"]" WRONG_CLUSTER
	// server_stream [] FailedPrecondition "the call is meant for [\"west\"]; this is [\"east\"]" WRONG_CLUSTER
	// bidi_stream [] FailedPrecondition "the call is meant for [\"west\"]; this is [\"east\"]" WRONG_CLUSTER
	// unary [Hello, Ada] OK
	// client_stream [Hello, Ada] OK
	// server_stream [Hello, Ada] OK
	// bidi_stream [Hello, Ada] OK
}

func ExampleSendOrg() {
	second := greeter.Serve(&greeter.Service{}, showcases.RequireOrg())
	onward := second.Client(append(showcases.SendOrg(), retry.New(retry.Config{}))...)
	first := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		texts, err := greeter.Call(ctx, onward, hauberk.ServerStream, "Ada")
		if err != nil {
			return err
		}
		return s.Send(&greeterpb.HelloReply{Text: texts[0]})
	}}, showcases.RequireOrg())
	printAll(with("x-org-id", "acme"), first.Client())
	printAll(context.Background(), first.Client())
	first.Stop()
	second.Stop()
	// Output:
	// unary [Hello, Ada] OK
	// client_stream [Hello, Ada] OK
	// server_stream [Hello, Ada] OK
	// bidi_stream [Hello, Ada] OK
	// unary [] Unauthenticated "the call must have one x-org-id" ORG_MISSING
	// client_stream [] Unauthenticated "the call must have one x-org-id" ORG_MISSING
	// server_stream [] Unauthenticated "the call must have one x-org-id" ORG_MISSING
	// bidi_stream [] Unauthenticated "the call must have one x-org-id" ORG_MISSING
}

// TestLines: the numbers of lines in docs/showcases.md are those of the files.
func TestLines(t *testing.T) {
	text, err := os.ReadFile("../../docs/showcases.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`\[(\w+\.go)\]\(\.\./examples/showcases/\w+\.go\), (\d+) lines`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != 5 {
		t.Fatalf("docs/showcases.md names %d files with their lines; want 5", len(rows))
	}
	for _, row := range rows {
		source, err := os.ReadFile(row[1])
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.Lines(string(source)) {
			if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "//") {
				lines++
			}
		}
		if got := fmt.Sprint(lines); got != row[2] {
			t.Errorf("%s has %s lines of code; docs/showcases.md says %s", row[1], got, row[2])
		}
	}
}
