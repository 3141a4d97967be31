package sidecar

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/descriptorset"
)

// Messages are decoded for the methods whose entries and rules read them.
func TestReads(t *testing.T) {
	const file = "file: {path: audit.jsonl}"
	all := map[string]bool{"/a.B/C": true, "/a.B/D": true, "/d.E/F": true}
	for _, tt := range []struct {
		entry       string
		reads, must map[string]bool // by method
	}{
		{"use: logging", nil, nil},
		{"use: validate", all, nil},
		{"use: validate, mode: shadow", all, nil},
		{"use: validate, mode: off", nil, nil},
		{"use: validate, except: a.B/C", map[string]bool{"/a.B/D": true, "/d.E/F": true}, nil},
		{"use: validate, methods: [a.B/C, d.E/*]", map[string]bool{"/a.B/C": true, "/d.E/F": true}, nil},
		{"use: rate_limit, limit: 1/1s, by: {field: tenant}, methods: a.B/D", map[string]bool{"/a.B/D": true}, nil},
		{
			"use: audit, requests: [{methods: [a.B/C, a.B/D], fields: [id]}, {methods: d.E/*, fields: [id]}], " + file,
			all, nil,
		},
		{"use: logging, rules: [{methods: a.B/C, payloads: true}]", map[string]bool{"/a.B/C": true}, nil},
		{
			"use: authn, mtls: {dns_names: [.example.org]}}, {use: authz, rules: [{name: r, allow: a.B/C, request: true, " +
				"when: request.id == 'x'}, {name: s, allow: a.B/D}]",
			map[string]bool{"/a.B/C": true},
			nil,
		},
		{"use: cache, methods: a.B/C, ttl: 1s", map[string]bool{"/a.B/C": true}, map[string]bool{"/a.B/C": false}},
	} {
		p, err := policyfile.Parse("p.yaml", []byte("version: 1\nserver: [{"+tt.entry+"}]\n"), policyfile.CheckOnly())
		if err != nil {
			t.Errorf("%s: %v", tt.entry, err)
			continue
		}
		var m messages
		m.follow(p)
		for _, method := range []string{"/a.B/C", "/a.B/D", "/d.E/F"} {
			wantMust, ok := tt.must[method]
			if !ok {
				wantMust = tt.reads[method]
			}
			if reads, must := m.reads(method); reads != tt.reads[method] || must != wantMust {
				t.Errorf("%s: %s is read: %t, must be: %t", tt.entry, method, reads, must)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A call whose messages must be decoded and cannot be is rejected; others are not decoded. The policy that will be in
// force next counts, too.
func TestMessagesOf(t *testing.T) {
	const method = "/hauberk.test.v1.TestService/Unary"
	parse := func(text string) *policyfile.Policy {
		p, err := policyfile.Parse("p.yaml", []byte(text), policyfile.CheckOnly())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	m := messages{upstreamHas: &descriptors{wanted: make(chan struct{}, 1)}}
	m.follow(parse("version: 1\nserver: [{use: logging}]\n"))
	if d, err := m.of(method); d != nil || err != nil {
		t.Errorf("without an entry that reads messages: %v, %v", d, err)
	}
	m.prepare(parse("version: 1\nserver: [{use: validate}]\n"))
	if _, err := m.of(method); status.Code(err) != codes.Unavailable || hauberk.Reason(err) != reasonNoDescriptors {
		t.Errorf("without descriptors: %v", err)
	}
	if d, err := m.of("/grpc.health.v1.Health/Check"); d == nil || err != nil {
		t.Errorf("health: %v, %v", d, err)
	}
	select {
	case <-m.upstreamHas.wanted:
	default:
		t.Error("reflection is not asked for the descriptor")
	}
	m.upstreamHas.set.Store(reflected(t, new(atomic.Bool)))
	if d, err := m.of(method); err != nil || d == nil || d.FullName() != "hauberk.test.v1.TestService.Unary" {
		t.Errorf("with descriptors: %v, %v", d, err)
	}
	if _, err := m.of("/a.B/C"); status.Code(err) != codes.Unimplemented || hauberk.Reason(err) != reasonNotDescribed {
		t.Errorf("a method without a descriptor: %v", err)
	}
	m.follow(parse("version: 1\nserver: [{use: cache, methods: a.B/*, ttl: 1s}]\n"))
	if d, err := m.of("/a.B/C"); d != nil || err != nil {
		t.Errorf("an entry that can do without: %v, %v", d, err)
	}
	if _, err := m.upstreamHas.FindMessageByName("hauberk.test.v1.Request"); err != nil {
		t.Error(err)
	}
}

// upstreamOf serves the test service with reflection in memory. It does not answer reflection while down is set.
func upstreamOf(t *testing.T, down *atomic.Bool) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv := grpc.NewServer(grpc.StreamInterceptor(
		func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if down.Load() {
				return status.Error(codes.Unavailable, "down")
			}
			return handler(srv, stream)
		}))
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	reflection.Register(srv)
	go func() { _ = srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
	})
	return conn
}

func reflected(t *testing.T, down *atomic.Bool) *descriptorset.Set {
	t.Helper()
	set, err := descriptorset.Reflect(t.Context(), upstreamOf(t, down))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Reflection is tried until the upstream answers, and reports a failure once. The last answer remains in force, with
// the same descriptors, while the upstream fails or answers the same. A call that wants a descriptor shortens the time.
func TestReflection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		d := descriptors{wanted: make(chan struct{}, 1)}
		changes, failures := 0, 0
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		conn := upstreamOf(t, &down)
		go func() {
			defer close(ended)
			d.reflect(ctx, conn, func(*descriptorset.Set) { changes++ }, func(error) { failures++ })
		}()
		pass := func(length time.Duration) {
			timer := time.NewTimer(length)
			<-timer.C
			synctest.Wait()
		}
		expect := func(what string, wantChanges, wantFailures int) {
			t.Helper()
			if changes != wantChanges || failures != wantFailures {
				t.Errorf("%s: %d changes and %d failures; want %d and %d", what, changes, failures, wantChanges, wantFailures)
			}
		}
		pass(time.Minute)
		expect("down from the start", 0, 1)
		down.Store(false)
		pass(reflectSeldom)
		expect("up", 1, 1)
		method := func() protoreflect.MethodDescriptor {
			m, _ := d.method("/hauberk.test.v1.TestService/Unary")
			return m
		}
		before := method()
		pass(2 * reflectEvery)
		expect("the same answer", 1, 1)
		down.Store(true)
		pass(2 * reflectEvery)
		expect("down again", 1, 2)
		if before == nil || method() != before {
			t.Errorf("the descriptor is %v and then %v", before, method())
		}
		down.Store(false)
		pass(reflectSeldom)
		d.set.Store(nil)
		d.want()
		pass(reflectSoon)
		expect("wanted", 2, 2)
		cancel()
		<-ended
	})
}
