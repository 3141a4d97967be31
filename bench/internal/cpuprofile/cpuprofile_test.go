package cpuprofile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/hauberk-rpc/hauberk/bench/internal/cpuprofile"
)

const (
	root      = "github.com/hauberk-rpc/hauberk."
	logging   = "github.com/hauberk-rpc/hauberk/interceptors/logging."
	limiter   = "github.com/hauberk-rpc/hauberk/interceptors/ratelimit."
	engine    = "github.com/hauberk-rpc/hauberk/internal/engine/keyed."
	server    = "google.golang.org/grpc.(*Server).processUnaryRPC"
	transport = "google.golang.org/grpc/internal/transport."
)

// TestPart: a sample counts for the innermost part on its stack.
func TestPart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stack []string
		want  string
	}{
		{"nothing known", []string{"runtime.futex", "runtime.findRunnable", "runtime.mcall"}, cpuprofile.Runtime},
		{"background GC", []string{"runtime.scanobject", "runtime.gcBgMarkWorker.func2"}, cpuprofile.GC},
		{"system call", []string{"syscall.Syscall", "net.(*conn).Write", transport + "(*loopyWriter).run"}, cpuprofile.GRPC},
		{
			"standard library in an interceptor",
			[]string{"log/slog.(*JSONHandler).Handle", logging + "(*Interceptor).write", root + "Next.Do", server},
			"logging",
		},
		{
			"allocation in an interceptor",
			[]string{"runtime.mallocgc", logging + "(*Interceptor).end", root + "serveUnary", server},
			"logging",
		},
		{"stack growth in the chain", []string{"runtime.copystack", "runtime.newstack", root + "serveUnary", server}, "chain"},
		{
			"chain inside an interceptor",
			[]string{root + "(*Call).Peer", logging + "(*Interceptor).end", root + "serveUnary", server},
			"chain",
		},
		{
			"inner interceptor",
			[]string{limiter + "(*Interceptor).Intercept", root + "f", logging + "(*Interceptor).Intercept", root + "f"},
			"ratelimit",
		},
		{"internal package", []string{engine + "(*Map[...]).Get", limiter + "(*Interceptor).Intercept", root + "f"}, "ratelimit"},
		{
			"type arguments with a package",
			[]string{"sync.(*Pool[github.com/hauberk-rpc/hauberk/interceptors/x.T]).Get", limiter + "f", root + "f"},
			"ratelimit",
		},
		{
			"subpackage of an interceptor",
			[]string{"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom.f", root + "f"},
			"metrics",
		},
		{
			"request read inside the chain",
			[]string{"google.golang.org/protobuf/proto.Unmarshal", "google.golang.org/grpc.recv", root + "f", server},
			cpuprofile.GRPC,
		},
		{
			"metadata for an interceptor",
			[]string{"google.golang.org/grpc/metadata.FromIncomingContext", limiter + "f", root + "f", server},
			"ratelimit",
		},
		{
			"header set by an interceptor",
			[]string{transport + "(*ServerStream).SetHeader", "google.golang.org/grpc.SetHeader", logging + "f", root + "f"},
			"logging",
		},
		{"handler", []string{"main.fixedService.Unary", root + "f", server}, cpuprofile.Service},
		{"empty", nil, cpuprofile.Runtime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cpuprofile.Part(tt.stack); got != tt.want {
				t.Errorf("%q: %q; want %q", tt.stack, got, tt.want)
			}
		})
	}
}

// TestRead: inlined functions count, the innermost first, and every sample counts once.
func TestRead(t *testing.T) {
	inner := &profile.Function{ID: 1, Name: logging + "f"}
	outer := &profile.Function{ID: 2, Name: root + "f"}
	inlined := &profile.Location{ID: 1, Line: []profile.Line{{Function: inner}, {Function: outer}}}
	plain := &profile.Location{ID: 2, Line: []profile.Line{{Function: outer}}}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{inlined, plain}, Value: []int64{3, 30}},
			{Location: []*profile.Location{plain}, Value: []int64{2, 20}},
		},
		Location: []*profile.Location{inlined, plain},
		Function: []*profile.Function{inner, outer},
	}
	file := filepath.Join(t.TempDir(), "cpu")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := cpuprofile.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.Total != 5 || got.Samples["logging"] != 3 || got.Samples[cpuprofile.Chain] != 2 {
		t.Errorf("%+v; want 3 samples of logging and 2 of the chain", got)
	}
}

func TestReadErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu")
	if _, err := cpuprofile.Read(file); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("no profile"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := cpuprofile.Read(file); err == nil {
		t.Errorf("a malformed file: %+v; want an error", p)
	}
}
