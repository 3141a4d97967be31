package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	mwauth "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	prom "github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/bench/testdata/migrate/after"
	"github.com/hauberk-rpc/hauberk/bench/testdata/migrate/before"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// TestMigrationGuideLogNames: the names of attributes that the first guide sets
// beside each other stand in the source of both packages.
func TestMigrationGuideLogNames(t *testing.T) {
	text, err := os.ReadFile("../docs/migrate-go-grpc-middleware.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Names in the log\n")
	section, _, _ = strings.Cut(section, "\n## ")
	theirs := sourceOf(t, "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging")
	ours := sourceOf(t, counterparts["logging"])
	rows := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows++
		for column, source := range map[int]string{1: theirs, 2: ours} {
			for _, span := range codeSpan.FindAllStringSubmatch(cells[column], -1) {
				if !strings.Contains(source, `"`+span[1]+`"`) {
					t.Errorf("%q is in no string of the source: %s", span[1], line)
				}
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d rows: the test looks at nothing", rows)
	}
}

// shown is what programs tell of their calls.
type shown struct {
	log                      bytes.Buffer
	serverSeries, callSeries *prom.Registry
}

func (s *shown) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// TestMigratedMiddleware: the programs of the first guide do the same. The series
// that there were before are there after.
func TestMigratedMiddleware(t *testing.T) {
	a, b := runMiddlewareBefore(t), runMiddlewareAfter(t)
	for name, registries := range map[string][2]*prom.Registry{
		"server": {a.serverSeries, b.serverSeries}, "client": {a.callSeries, b.callSeries},
	} {
		were, are := familiesOf(t, registries[0]), familiesOf(t, registries[1])
		if len(were) < 4 {
			t.Errorf("%s: before there were %q only", name, were)
		}
		for _, family := range were {
			if !slices.Contains(are, family) {
				t.Errorf("%s: %s is gone; there are %q", name, family, are)
			}
		}
	}
	for what, want := range map[string]*bytes.Buffer{`"finished call"`: &a.log, `"call ended"`: &b.log} {
		if got := strings.Count(want.String(), what); got < 3 {
			t.Errorf("%s is in the log %d times:\n%s", what, got, want)
		}
	}
}

func wantCodes(t *testing.T, got []codes.Code) {
	t.Helper()
	// The stream ends with io.EOF, which has the code Unknown.
	if want := []codes.Code{codes.OK, codes.Unauthenticated, codes.Unknown}; !slices.Equal(got, want) {
		t.Errorf("calls ended with %v, want %v", got, want)
	}
}

func runMiddlewareBefore(t *testing.T) *shown {
	t.Helper()
	s := &shown{serverSeries: prom.NewRegistry(), callSeries: prom.NewRegistry()}
	check := func(ctx context.Context) (context.Context, error) {
		token, err := mwauth.AuthFromMD(ctx, "bearer")
		if err == nil && token != "good" {
			err = status.Error(codes.Unauthenticated, "bad token")
		}
		return ctx, err
	}
	wantCodes(t, migration{
		server: before.ServerOptions(s.logger(), s.serverSeries, check),
		client: before.DialOptions(s.logger(), s.callSeries),
	}.call(t))
	return s
}

func runMiddlewareAfter(t *testing.T) *shown {
	t.Helper()
	s := &shown{serverSeries: prom.NewRegistry(), callSeries: prom.NewRegistry()}
	check := func(_ context.Context, token string) (*authn.Identity, error) {
		if token != "good" {
			return nil, authn.ErrInvalidToken
		}
		return &authn.Identity{Subject: "alice"}, nil
	}
	chain, err := after.ServerChain(s.logger(), s.serverSeries, check)
	if err != nil {
		t.Fatal(err)
	}
	client, err := after.DialOptions(s.logger(), s.callSeries)
	if err != nil {
		t.Fatal(err)
	}
	wantCodes(t, migration{
		server:   chain.ServerOptions(),
		register: func(srv grpc.ServiceRegistrar) grpc.ServiceRegistrar { return chain.Registrar(srv) },
		client:   client,
	}.call(t))
	if !strings.Contains(s.log.String(), `"user":"alice"`) {
		t.Errorf("the user is not in the log:\n%s", s.log.String())
	}
	return s
}

func familiesOf(t *testing.T, registry *prom.Registry) (names []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names = append(names, fmt.Sprint(f.GetType(), " ", f.GetName()))
	}
	return names
}
