package demo

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// The text ahead of the tables says that failures are intended, and has the server's
// chain, a call to copy, and one log record of each reason in the totals.
func TestTellsItsStory(t *testing.T) {
	hauberktest.CheckLeaks(t)
	out, _, err := runDemo(t, "--for", "1ms")
	if err != nil {
		t.Fatal(err)
	}
	opening, table, _ := strings.Cut(out, "\ntotals ")
	for _, want := range []string{
		"on purpose", "/shop.v1.Cart/Import\n", "authn", "authz", "cart_limit", "in shadow", "condition",
		"grpcurl -plaintext -H 'authorization: Bearer eyJ", " shop.v1.Cart/Get\n",
	} {
		if !strings.Contains(opening, want) {
			t.Errorf("no %q in %q", want, opening)
		}
	}
	for _, reason := range reasonsIn(t, table) {
		records := regexp.MustCompile(
			`(?m)^  time=.* `+regexp.QuoteMeta(logging.KeyReason)+`=`+reason+` .*`+regexp.QuoteMeta(logging.KeyDecisions)+`=.*$`,
		).FindAllString(opening, -1)
		if len(records) != 1 {
			t.Errorf("%d log records with %s; want one: %q", len(records), reason, records)
		}
	}
}

// reasonsIn returns the reasons of rejections that a table lists.
func reasonsIn(t *testing.T, table string) []string {
	t.Helper()
	_, list, _ := strings.Cut(table, "\nrejections ")
	list, _, _ = strings.Cut(list, "\nretries ")
	reasons := regexp.MustCompile(`[A-Z_]{2,}`).FindAllString(list, -1)
	if len(reasons) != 7 {
		t.Fatalf("the reasons %q; want those of seven interceptors and outcomes, in %q", reasons, table)
	}
	return reasons
}

// Server reflection needs no token. All other methods of the shop do.
func TestReflectionIsPublic(t *testing.T) {
	st := open(t)
	stream, err := reflectionpb.NewServerReflectionClient(st.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	symbol := &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "shop.v1.Cart"}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: symbol}); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil || len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("response %v, error %v; want the file of shop.v1.Cart", resp, err)
	}
	_, err = shoppb.NewCartClient(st.conn).Get(t.Context(), &shoppb.GetRequest{CartId: "anna"})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call without a token: %v; want UNAUTHENTICATED", err)
	}
}

func TestFirstRejections(t *testing.T) {
	first := newFirstRejections()
	logger := slog.New(first).With("service", "shop").WithGroup("call")
	log := func(attrs ...slog.Attr) {
		t.Helper()
		r := slog.NewRecord(time.Time{}, slog.LevelInfo, "call ended", 0)
		r.AddAttrs(attrs...)
		if err := logger.Handler().Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	reason := func(name string) slog.Attr { return slog.String(logging.KeyReason, name) }
	n := func(n int) slog.Attr { return slog.Int("n", n) }
	decisions := slog.String(logging.KeyDecisions, "made")

	log(n(1))                             // no rejection
	log(n(2), reason("LATE"))             // rejected by the other side
	log(n(3), decisions)                  // a decision that is not enforced
	log(n(4), reason("LATE"), decisions)  // the first of its reason
	log(n(5), reason("LATE"), decisions)  // the second
	log(n(6), reason("EARLY"), decisions) // the first of another reason
	record := func(n int, reason string) string {
		return fmt.Sprintf("level=INFO msg=\"call ended\" service=shop call.n=%d call.%s=%s call.%s=made\n",
			n, logging.KeyReason, reason, logging.KeyDecisions)
	}
	want := record(4, "LATE") + record(6, "EARLY")
	if got := first.take(); got != want {
		t.Errorf("kept\n%swant\n%s", got, want)
	}
	log(n(7), reason("EARLY"), decisions)
	if got := first.take(); got != "" {
		t.Errorf("kept %q twice", got)
	}
}
