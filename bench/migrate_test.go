package main

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The guides, and the modules whose exported identifiers each must name.
var migrationGuides = map[string][]string{
	"../docs/migrate-go-grpc-middleware.md": {
		"github.com/grpc-ecosystem/go-grpc-middleware/v2",
		"github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus",
	},
	"../docs/migrate-otelgrpc.md": {
		"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
	},
}

// counterparts are the packages that the middle column of a table may name, by their names
// in the table.
var counterparts = func() map[string]string {
	const module = "github.com/hauberk-rpc/hauberk"
	paths := map[string]string{
		"hauberk":     module,
		"metricsprom": module + "/interceptors/metrics/metricsprom",
		"metricsotel": module + "/interceptors/metrics/metricsotel",
		"slog":        "log/slog",
		"metadata":    "google.golang.org/grpc/metadata",
		"prometheus":  "github.com/prometheus/client_golang/prometheus",
		"trace":       "go.opentelemetry.io/otel/trace",
	}
	for _, name := range []string{
		"authn", "logging", "metrics", "ratelimit", "recovery", "requestid", "retry", "tracing", "transform", "validate",
	} {
		paths[name] = module + "/interceptors/" + name
	}
	return paths
}()

// TestMigrationGuides: each exported identifier of the other library has a row, and each
// identifier and counterpart in a row exists.
func TestMigrationGuides(t *testing.T) {
	here := exportsOf(t, slices.Collect(maps.Values(counterparts))...)
	for guide, modules := range migrationGuides {
		t.Run(filepath.Base(guide), func(t *testing.T) {
			checkText(t, guide, modules, here)
			tables := tablesOf(t, guide)
			for _, path := range publicPackages(t, modules) {
				checkTable(t, path, tables[path], exportsOf(t, path)[path], here)
				delete(tables, path)
			}
			for path := range tables {
				t.Errorf("%s has a table, and is no package of %s", path, modules)
			}
		})
	}
}

// checkText checks the text outside the middle columns: the versions are those of
// bench/go.mod, and the names of this module in it exist.
func checkText(t *testing.T, guide string, modules []string, here map[string]map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		if version := versionOf(t, module); !strings.Contains(string(text), " "+strings.TrimPrefix(version, "v")) {
			t.Errorf("the guide is for another version than %s %s", module, version)
		}
	}
	for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		parts := identifier.FindStringSubmatch(span[1])
		if len(parts) == 0 || !ast.IsExported(parts[2]) {
			continue // something else
		}
		if path := counterparts[parts[1]]; path != "" && !here[path][parts[2]] {
			t.Errorf("there is no `%s`", span[1])
		}
	}
}
