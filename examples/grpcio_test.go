package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fromGRPCio is the guide that these tests compare with the page and the source.
const fromGRPCio = "../docs/from-grpcio.md"

// pageNames are the names of the page that the guide must have: classes, methods,
// parameters and attributes, in the order of the page.
const pageNames = `
UnaryUnaryClientInterceptor intercept_unary_unary continuation client_call_details request Call Future
UnaryStreamClientInterceptor intercept_unary_stream StreamUnaryClientInterceptor intercept_stream_unary
request_iterator StreamStreamClientInterceptor intercept_stream_stream LoggingClientInterceptor RpcError
AuthClientInterceptor token_provider TokenProvider get_token _replace RetryClientInterceptor max_retries
backoff_factor code StatusCode create_intercepted_channel insecure_channel intercept_channel MyServiceStub
ServerInterceptor intercept_service handler_call_details RpcMethodHandler None Context ContextVar set get
request_id_var user_id_var RequestIdServerInterceptor AuthenticationServerInterceptor token_validator
TokenValidator validate_token InvalidTokenError unary_unary_rpc_method_handler abort LoggingServerInterceptor
unary_unary unary_stream stream_unary stream_stream RateLimitingServerInterceptor max_requests_per_minute
max_requests request_counts lock create_server_with_interceptors server ThreadPoolExecutor max_workers
interceptors MyServiceServicer MyMethod context CircuitState CLOSED OPEN HALF_OPEN CircuitBreakerInterceptor
failure_threshold timeout half_open_max_calls failure_counts last_failure_time circuit_state half_open_calls
MetricsInterceptor error_counts latency_sums get_metrics requests errors avg_latency ClientCallDetails method
metadata credentials wait_for_ready compression HandlerCallDetails invocation_metadata`

// TestGuideNamesPage: the first columns of the guide contain each name of the page.
func TestGuideNamesPage(t *testing.T) {
	var first strings.Builder
	for _, row := range rows(t) {
		if !idPattern.MatchString(row[0]) {
			first.WriteString(strings.Join(spans(row[0]), " ") + " ")
		}
	}
	named := regexp.MustCompile(`\w+`).FindAllString(first.String(), -1)
	for name := range strings.FieldsSeq(pageNames) {
		if !slices.Contains(named, name) {
			t.Errorf("%s: no row is about %s", fromGRPCio, name)
		}
	}
}

var idPattern = regexp.MustCompile(`^(?:[A-Z]\d+|G)$`)

// TestGuideHasEveryID: each ID is the first cell of exactly one row, whose other cells are not
// empty.
func TestGuideHasEveryID(t *testing.T) {
	count := make(map[string]int)
	for _, row := range rows(t) {
		if !idPattern.MatchString(row[0]) {
			continue
		}
		count[row[0]]++
		if len(row) != 3 || row[1] == "" || row[2] == "" {
			t.Errorf("%s: the row %s has the cells %q; want three, none empty", fromGRPCio, row[0], row)
		}
	}
	for _, id := range ids() {
		if count[id] != 1 {
			t.Errorf("%s: %d rows for %s; want 1", fromGRPCio, count[id], id)
		}
		delete(count, id)
	}
	for id := range count {
		t.Errorf("%s: a row for %s, which does not exist", fromGRPCio, id)
	}
}

// ids returns the IDs of grpcio's behaviours (C, S, A), of the completed interceptors (D), of
// the sidecar (G) and of the faults of the page's examples (B).
func ids() []string {
	out := []string{"G"}
	for _, group := range []struct {
		letter string
		n      int
	}{{"C", 26}, {"S", 24}, {"A", 21}, {"D", 11}, {"B", 40}} {
		for i := 1; i <= group.n; i++ {
			format := "%s%d"
			if group.letter == "B" {
				format = "%s%02d"
			}
			out = append(out, fmt.Sprintf(format, group.letter, i))
		}
	}
	return out
}

// pagePrograms are the programs for the examples of the page.
var pagePrograms = []string{
	"clientlogging", "clienttoken", "retry", "clientchain", "requestid", "authentication", "serverlogging",
	"ratelimit", "serverchain", "state", "breaker", "metrics",
}

// TestPagesLinkPrograms: README.md in this folder has a link to each program, and the guide
// to each program for an example of the page. The targets of all links exist.
func TestPagesLinkPrograms(t *testing.T) {
	all, err := filepath.Glob("*/main.go")
	if err != nil || len(all) == 0 {
		t.Fatalf("found the programs %q: %v", all, err)
	}
	var ofPage []string
	for _, p := range pagePrograms {
		ofPage = append(ofPage, p+"/main.go")
	}
	for page, programs := range map[string][]string{fromGRPCio: ofPage, "README.md": all, "../README.md": nil, "../docs/reading-the-source.md": nil} {
		linked := links(t, page)
		for _, p := range programs {
			if !slices.ContainsFunc(linked, func(target string) bool { return samePath(t, target, p) }) {
				t.Errorf("the page %s has no link to %s", page, p)
			}
		}
	}
}

// links returns the files that a page has links to. They must exist.
func links(t *testing.T, page string) (targets []string) {
	t.Helper()
	prose := codePattern.ReplaceAllString(read(t, page), "")
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(prose, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		target := filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
		if _, err := os.Stat(target); err != nil {
			t.Errorf("%s: %v", page, err)
		}
		targets = append(targets, target)
	}
	return targets
}

func samePath(t *testing.T, a, b string) bool {
	t.Helper()
	absolute, err := filepath.Abs(a)
	if err != nil {
		t.Fatal(err)
	}
	return absolute == filepath.Join(workDir(t), b)
}

func guide(t *testing.T) string {
	t.Helper()
	return read(t, fromGRPCio)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the cells of the table rows of the guide, without the heads.
func rows(t *testing.T) (out [][]string) {
	t.Helper()
	var head bool
	for line := range strings.Lines(guide(t)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = true
			continue
		}
		if head || strings.HasPrefix(line, "|---") {
			head = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	return out
}

// codePattern matches the code in a text: spans between backquotes, and blocks.
var codePattern = regexp.MustCompile("(?s)```go\n(.*?)```|`([^`\n]+)`")

func spans(text string) (out []string) {
	for _, m := range codePattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1]+m[2])
	}
	return out
}
