package reports_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

var (
	errGone = errors.New("the item is gone")
	errFull = errors.New("the shelf is full")
	table   = errs.NewTable("shop.example",
		errs.Sentinel(errGone, codes.NotFound, "GONE"), errs.Sentinel(errFull, codes.FailedPrecondition, "FULL"))
)

// observed has what the interceptors of a service recorded.
type observed struct {
	mu        sync.Mutex
	ends      []audit.Record
	incidents []report.Incident
}

// service is the interceptors of a service, from the outermost.
func (o *observed) service(users ...authn.Method) []hauberk.Interceptor {
	sink := audit.SinkFunc(func(_ context.Context, r audit.Record) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if r.Stage == audit.StageEnd {
			o.ends = append(o.ends, r)
		}
		return nil
	})
	incident := func(_ context.Context, i report.Incident) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.incidents = append(o.incidents, i)
	}
	all := []hauberk.Interceptor{
		report.New(report.Config{Every: time.Nanosecond}, incident), audit.New(audit.Config{}, sink),
		recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler))),
	}
	if len(users) > 0 {
		all = append(all, authn.New(authn.Config{}, users...))
	}
	return append(all, errs.New(errs.Config{}, table))
}

// records returns the records at the end of calls, and the incidents.
func (o *observed) records() ([]audit.Record, []report.Incident) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ends), slices.Clone(o.incidents)
}

// TestReportOutcomes: what the client receives, the audit records and the reporter reports of calls that fail.
func TestReportOutcomes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	aStatus := status.Error(codes.NotFound, "description")
	for name, test := range map[string]struct {
		handler func() error
		code    codes.Code
		text    string // of the status; "" is any of at most 1 KiB
		is      error
		reports int
	}{
		// A text that does not fit into the header list that clients accept does not cost the code
		// (temporalio/temporal#3284, envoyproxy/envoy#9785).
		"long": {func() error {
			return status.Error(codes.InvalidArgument, strings.Repeat("é\n", 20<<10))
		}, codes.InvalidArgument, "", nil, 0},
		// A wrapped context error has its own code, and is no incident (hatchet-dev/hatchet#4391, raystack/frontier#718).
		"cancelled": {func() error { return fmt.Errorf("load: %w", context.Canceled) }, codes.Canceled, "", nil, 0},
		"late":      {func() error { return fmt.Errorf("load: %w", context.DeadlineExceeded) }, codes.DeadlineExceeded, "", nil, 0},
		// A wrapped status has its own text, once (grpc/grpc-go#8490, grpc/grpc-go#8275, dapr/go-sdk#186).
		"wrapped": {func() error { return fmt.Errorf("a: %w", fmt.Errorf("b: %w", aStatus)) }, codes.NotFound, "description", nil, 0},
		"joined":  {func() error { return errors.Join(aStatus, errors.New("secret")) }, codes.NotFound, "description", nil, 0},
		// The client finds the first one of several errors, by itself (cockroachdb/errors#108, cockroachdb/cockroach#106521).
		"several": {func() error { return fmt.Errorf("%w: %w", errGone, errFull) }, codes.NotFound, errGone.Error(), errGone, 0},
		// A panic is not OK, and is reported once (johnbellone/grpc-middleware-sentry#46).
		"panic": {func() error { panic("secret") }, codes.Internal, "", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var seen observed
			to := setup{
				server: seen.service(), client: []hauberk.Interceptor{errs.New(errs.Config{}, table)},
				handle: func(context.Context, hauberktest.Stream) error { return test.handler() },
				dial:   []grpc.DialOption{grpc.WithMaxHeaderListSize(8 << 10)},
			}.start(t)
			for i, kind := range kinds {
				err := to.call(t.Context(), kind, nil)
				text := status.Convert(err).Message()
				if status.Code(err) != test.code || len(text) > 1<<10 || test.text != "" && text != test.text ||
					strings.Contains(text, "secret") {
					t.Errorf("%v: %v; want %v", kind, err, test.code)
				}
				if test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%v: %v is not %v", kind, err, test.is)
				}
				ends, incidents := seen.records()
				if len(ends) != i+1 || ends[i].Code != test.code || ends[i].Panic != (name == "panic") {
					t.Errorf("%v: the audit has %+v at the end; want %v", kind, ends, test.code)
				}
				if n := len(incidents); n != (i+1)*test.reports {
					t.Errorf("%v: %d incidents", kind, n)
				}
			}
		})
	}
}

func reject(context.Context, string) (*hauberk.Identity, error) {
	return nil, errors.New("unknown token")
}

// TestReportRejectedIsRecorded: calls that authentication rejects are in the audit, also streams
// (milvus-io/milvus#52608, abcxyz/lumberjack#96).
func TestReportRejectedIsRecorded(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var seen observed
	to := setup{server: seen.service(authn.Bearer(reject))}.start(t)
	to.wants(t, "no token", codes.Unauthenticated)
	ends, incidents := seen.records()
	if len(ends) != len(kinds) || len(incidents) != 0 {
		t.Errorf("%d records and %d incidents", len(ends), len(incidents))
	}
	for _, r := range ends {
		if r.Code != codes.Unauthenticated || r.Panic {
			t.Errorf("%+v; want UNAUTHENTICATED", r)
		}
	}
}

// TestReportEndOfStream: the end of a stream is io.EOF itself where grpc-go has it, also if the stream ends with an error of
// a table, and is no incident (cockroachdb/cockroach#141957, getsentry/sentry-go#938).
func TestReportEndOfStream(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, ends := range []error{nil, fmt.Errorf("load: %w", errGone)} {
		var seen observed
		to := setup{
			client: append(seen.service(), errs.New(errs.Config{}, errs.NewTable("other.example", errs.Sentinel(errFull, 9, "X")))),
			server: []hauberk.Interceptor{errs.New(errs.Config{}, table)},
			handle: func(context.Context, hauberktest.Stream) error { return ends },
		}.start(t)
		stream, err := testpb.NewTestServiceClient(to.conn).Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			err = stream.Send(new(testpb.Request))
		}
		if err != io.EOF { // programs compare it
			t.Errorf("Send returned %v; want io.EOF itself", err)
		}
		_, err = stream.Recv()
		if ends == nil && err != io.EOF || ends != nil && !errors.Is(err, errGone) {
			t.Errorf("Recv returned %v; want %v", err, ends)
		}
		want := codes.OK
		if ends != nil {
			want = codes.NotFound
		}
		if records, incidents := seen.records(); len(incidents) != 0 || len(records) != 1 || records[0].Code != want {
			t.Errorf("%d incidents, %+v; want %v", len(incidents), records, want)
		}
	}
}

// TestReportShutdown: Shutdown ends in spite of open watches and of handlers that ignore their context, also if it is
// called twice and with Stop, and the audit is complete when it has returned (grpc/grpc-go#8882, grpc/grpc-go#9393,
// grpc/grpc-go#793, grpc/grpc-dotnet#2572, kubernetes/kubernetes#50781). A stream that it ends is no panic in the audit
// (kubernetes/kubernetes#110112).
func TestReportShutdown(t *testing.T) {
	hauberktest.CheckLeaks(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	file, err := audit.OpenFile(audit.FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	chain := hauberk.Must(hauberk.Config{Drain: hauberk.Drain{Grace: time.Millisecond}}.New(audit.New(audit.Config{}, file)))
	srv, entered, stuck := chain.NewServer(), make(chan struct{}), make(chan struct{})
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		entered <- struct{}{}
		if strings.HasSuffix(s.Method(), "/Unary") {
			<-stuck
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}})
	healthpb.RegisterHealthServer(srv, health.NewServer())
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	to, outcome := &server{conn: conn}, make(chan error, len(kinds))
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		go func() { outcome <- to.call(t.Context(), kind, nil) }()
		<-entered
	}
	short, cancel := context.WithCancel(t.Context())
	both := make(chan error, 2)
	go func() { both <- srv.Shutdown(short) }()
	go func() { both <- srv.Shutdown(t.Context()) }()
	for range kinds[1:] {
		if err := <-outcome; hauberk.Reason(err) != hauberk.ReasonShuttingDown {
			t.Errorf("a stream ends with %v", err)
		}
	}
	cancel()
	if err := <-both; !errors.Is(err, context.Canceled) { // the unary handler still runs
		t.Errorf("Shutdown returned %v", err)
	}
	srv.Stop() // the first one may wait in it
	if err := <-outcome; status.Code(err) != codes.Unavailable {
		t.Errorf("the unary call ends with %v", err)
	}
	close(stuck)
	if err := <-both; err != nil {
		t.Errorf("the other Shutdown returned %v", err)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if got := recorded(t, path); got["end"] != len(kinds)+1 || got["panic"] != 0 || got["start"] != len(kinds) {
		t.Errorf("%v in the audit; want the ends of all calls", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}

// TestReportHealthAfterShutdown: what sets the state to serving after the shutdown has begun, such as the end of a slow
// start, does not make a server ready that stops (grpc/grpc-go#2513, grpc/grpc#18112). A server is not ready before its
// state is (milvus-io/milvus#53731).
func TestReportHealthAfterShutdown(t *testing.T) {
	hauberktest.CheckLeaks(t)
	probe := health.NewServer()
	state := serving.New(serving.Config{}, serving.WithHealth(probe))
	isReady := func() bool {
		got, err := probe.Check(t.Context(), new(healthpb.HealthCheckRequest))
		if ready := err == nil && got.GetStatus() == healthpb.HealthCheckResponse_SERVING; ready != state.Ready() {
			t.Errorf("the health service has %v, %v; Ready returns %v", got, err, state.Ready())
		}
		return state.Ready()
	}
	if isReady() {
		t.Error("ready before it serves")
	}
	srv := grpc.NewServer(hauberk.Must(hauberk.New(state)).ServerOptions()...)
	if err := state.Shutdown(t.Context(), srv); err != nil {
		t.Error(err)
	}
	err := state.Set(serving.Serving)
	if !errors.Is(err, hauberk.ErrShuttingDown) || isReady() || state.State() != serving.Draining {
		t.Errorf("after Shutdown, Set returned %v, and the state is %s", err, state.State())
	}
}

// TestReportVersions: pre-releases of the lowest version that is supported can be admitted, the rejection names no
// artificial one, and numbers are compared as numbers (gravitational/teleport#43194, gravitational/teleport#44700,
// R2Northstar/NorthstarMasterServer#55).
func TestReportVersions(t *testing.T) {
	hauberktest.CheckLeaks(t)
	to := setup{server: []hauberk.Interceptor{version.New(version.Config{
		Metadata: "x-client", Rules: []version.Rule{{Client: "tsh", Versions: ">=15.0.0-0", Upgrade: "tsh 15.0"}},
	})}}.start(t)
	for sent, want := range map[string]codes.Code{
		"15.0.0": codes.OK, "15.0.0-alpha.1": codes.OK, "15.0.0-rc.10": codes.OK, "100.0.0": codes.OK, "15.0.0-dev+abc": codes.OK,
		"14.99.99": codes.FailedPrecondition, "14.0.0-zz": codes.FailedPrecondition, "9.0.0": codes.FailedPrecondition,
	} {
		to.wants(t, sent, want, "x-client", "tsh/"+sent)
		if err := to.call(t.Context(), hauberk.Bidi, nil, "x-client", "tsh/"+sent); err != nil {
			if text := status.Convert(err).Message(); !strings.Contains(text, "tsh 15.0") || strings.Contains(text, "15.0.0-0") {
				t.Errorf("%s: %q", sent, text)
			}
		}
		to.handled()
	}
}

// TestReportForgedRecords: what a caller sends makes no line of the audit and no large one
// (apache/zookeeper#2448, jentic/jentic-one#376, NousResearch/hermes-agent#81042).
func TestReportForgedRecords(t *testing.T) {
	hauberktest.CheckLeaks(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	file, err := audit.OpenFile(audit.FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	to := setup{server: []hauberk.Interceptor{audit.New(audit.Config{Requests: []audit.Request{{
		Methods: []string{"hauberk.test.v1.TestService/*"}, Fields: []string{"text"},
	}}}, file)}}.start(t)
	forged := "a\r\n\u2028{\"stage\":\"end\",\"code\":\"OK\"}\x00" + strings.Repeat("x", 1<<20)
	if _, err := testpb.NewTestServiceClient(to.conn).Unary(t.Context(), &testpb.Request{Text: forged}); err != nil {
		t.Error(err)
	}
	method := "/hauberk.test.v1.TestService/" + strings.Repeat("Unary\"}", 1<<10)
	if err := to.conn.Invoke(t.Context(), method, new(testpb.Request), new(testpb.Response)); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if got := recorded(t, path); got["lines"] != 3 || got["end"] != 2 || got["longest"] > 16<<10 {
		t.Errorf("%v in the audit; want one end for each call", got)
	}
}
