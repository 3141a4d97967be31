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

// TestMigrationGuideLogNames: the source of both packages has the names of attributes that
// the first guide compares.
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
		if len(cells) < 5 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows++
		if strings.TrimSpace(cells[2]) == "the same" {
			cells[2] = cells[1]
		}
		for column, source := range map[int]string{1: theirs, 2: ours, 3: ours} {
			for _, span := range codeSpan.FindAllStringSubmatch(cells[column], -1) {
				if !strings.Contains(source, `"`+span[1]+`"`) {
					t.Errorf("%q is in no string of the source: %s", span[1], line)
				}
			}
		}
	}
	if rows < 10 {
		t.Errorf("the test found %d rows", rows)
	}
}

// shown is the output of a server and of a client in one program.
type shown struct {
	log      bytes.Buffer
	registry *prom.Registry
}

func (s *shown) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// TestMigratedMiddleware runs the programs of the first guide, with the server and the client
// in one registry. A program can migrate one side at a time: all series that existed before
// exist in each combination.
func TestMigratedMiddleware(t *testing.T) {
	were := familiesOf(t, runMiddleware(t, false, false).registry)
	if len(were) < 8 {
		t.Fatalf("before the migration there are only %q", were)
	}
	for _, migrated := range []struct{ server, client bool }{{true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("server %t, client %t", migrated.server, migrated.client), func(t *testing.T) {
			s := runMiddleware(t, migrated.server, migrated.client)
			are := familiesOf(t, s.registry)
			for _, family := range were {
				if !slices.Contains(are, family) {
					t.Errorf("%s is missing in %q", family, are)
				}
			}
			for message, want := range map[string]bool{
				`"finished call"`: !migrated.server || !migrated.client, `"call ended"`: migrated.server || migrated.client,
			} {
				if got := strings.Count(s.log.String(), message); (got > 0) != want {
					t.Errorf("%d records with %s:\n%s", got, message, &s.log)
				}
			}
			if migrated.server && !strings.Contains(s.log.String(), `"user":"alice"`) {
				t.Errorf("the log does not contain the user:\n%s", &s.log)
			}
		})
	}
}

func wantCodes(t *testing.T, got []codes.Code) {
	t.Helper()
	// The stream ends with io.EOF, which has the code Unknown.
	if want := []codes.Code{codes.OK, codes.Unauthenticated, codes.Unknown}; !slices.Equal(got, want) {
		t.Errorf("calls ended with %v, want %v", got, want)
	}
}

// runMiddleware makes the calls with each side before or after its migration.
func runMiddleware(t *testing.T, serverMigrated, clientMigrated bool) *shown {
	t.Helper()
	s := &shown{registry: prom.NewPedanticRegistry()}
	var m migration
	if serverMigrated {
		chain, err := after.ServerChain(s.logger(), s.registry, checkAfter)
		if err != nil {
			t.Fatal(err)
		}
		m.server = chain.ServerOptions()
		m.register = func(srv grpc.ServiceRegistrar) grpc.ServiceRegistrar { return chain.Registrar(srv) }
	} else {
		m.server = before.ServerOptions(s.logger(), s.registry, checkBefore)
	}
	if clientMigrated {
		options, err := after.DialOptions(s.logger(), s.registry)
		if err != nil {
			t.Fatal(err)
		}
		m.client = options
	} else {
		m.client = before.DialOptions(s.logger(), s.registry)
	}
	wantCodes(t, m.call(t))
	return s
}

func checkBefore(ctx context.Context) (context.Context, error) {
	token, err := mwauth.AuthFromMD(ctx, "bearer")
	if err == nil && token != "good" {
		err = status.Error(codes.Unauthenticated, "bad token")
	}
	return ctx, err
}

func checkAfter(_ context.Context, token string) (*authn.Identity, error) {
	if token != "good" {
		return nil, authn.ErrInvalidToken
	}
	return &authn.Identity{Subject: "alice"}, nil
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
