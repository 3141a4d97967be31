package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// runDemo runs the command and returns what it printed.
func runDemo(t *testing.T, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = command(&o, &e, args...).Execute()
	return o.String(), e.String(), err
}

func command(out, errOut io.Writer, args ...string) *cobra.Command {
	cmd := Command("test")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	cmd.SetArgs(args)
	return cmd
}

func methodNames() []string {
	return []string{
		shoppb.Cart_Chat_FullMethodName, shoppb.Cart_Get_FullMethodName, shoppb.Cart_Import_FullMethodName,
		shoppb.Cart_Watch_FullMethodName, shoppb.Catalog_Search_FullMethodName, "unknown",
	}
}

func TestJSONTotals(t *testing.T) {
	hauberktest.CheckLeaks(t)
	out, errOut, err := runDemo(t, "--for", "1s", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(errOut, "The shop listens on 127.0.0.1:") {
		t.Errorf("stderr begins with %q", errOut)
	}
	totals := decode(t, out)
	checkSums(t, totals)
	if totals.Seconds < 1 {
		t.Errorf("seconds = %v; want at least the 1 asked for", totals.Seconds)
	}
	for name, m := range totals.Methods {
		if m.Calls == 0 || m.P99 < m.P50 || m.P50 <= 0 {
			t.Errorf("%s: %+v; want calls, and 0 < p50 <= p99", name, m)
		}
	}
	codes := slices.Sorted(maps.Keys(totals.Errors))
	want := []string{
		"CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
	}
	if !slices.Equal(codes, want) {
		t.Errorf("codes of errors = %v; want %v", codes, want)
	}
	checkRejections(t, totals)
	if _, ok := totals.Breakers["shop.v1.Catalog"]; !ok || len(totals.Breakers) != 1 {
		t.Errorf("breakers %v; want the catalog's", totals.Breakers)
	}
	if r := totals.Retries; r.Succeeded == 0 || r.Succeeded >= r.Attempts {
		t.Errorf("retries %+v; want some that succeeded and some that did not", r)
	}
}

// checkRejections checks that each reason has rejections, and that the rejections are all
// errors with their code.
func checkRejections(t *testing.T, totals *totals) {
	t.Helper()
	reasons := map[string][]string{
		"PERMISSION_DENIED":  {"ACCESS_DENIED"},
		"RESOURCE_EXHAUSTED": {"CART_FULL", "RATE_LIMITED"},
		"UNAUTHENTICATED":    {"MISSING_TOKEN", "INVALID_TOKEN", "TOKEN_EXPIRED"},
	}
	for code, reasons := range reasons {
		var sum uint64
		for _, reason := range reasons {
			if totals.Rejections[reason] == 0 {
				t.Errorf("no rejections for %s: %v", reason, totals.Rejections)
			}
			sum += totals.Rejections[reason]
		}
		if sum != totals.Errors[code] {
			t.Errorf("rejections for %v are %d; want the %d errors of %s", reasons, sum, totals.Errors[code], code)
		}
	}
	if n := totals.Rejections["BREAKER_OPEN"]; n == 0 || n >= totals.Errors["UNAVAILABLE"] {
		t.Errorf("rejections of the breaker = %d; want some of the %d UNAVAILABLE", n, totals.Errors["UNAVAILABLE"])
	}
}

// decode decodes the output, which must be one JSON object.
func decode(t *testing.T, out string) *totals {
	t.Helper()
	totals := &totals{}
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(totals); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one JSON value in %q", out)
	}
	if totals.Breakers == nil || totals.Rejections == nil || totals.Errors == nil {
		t.Errorf("a null among the maps of %q", out)
	}
	return totals
}

// checkSums checks that the sums over codes, methods and outcomes agree.
func checkSums(t *testing.T, totals *totals) {
	t.Helper()
	var byCode, calls, failed uint64
	for _, n := range totals.Errors {
		byCode += n
	}
	for _, m := range totals.Methods {
		calls += m.Calls
		failed += m.Errors
	}
	if totals.OK == 0 || totals.Calls != totals.OK+byCode || totals.Calls != calls || byCode != failed {
		t.Errorf("calls %d, ok %d, errors by code %d; over the methods calls %d, errors %d",
			totals.Calls, totals.OK, byCode, calls, failed)
	}
	if names := slices.Sorted(maps.Keys(totals.Methods)); !slices.Equal(names, methodNames()) {
		t.Errorf("methods %v; want %v", names, methodNames())
	}
}

func TestTables(t *testing.T) {
	hauberktest.CheckLeaks(t)
	out, errOut, err := runDemo(t, "--for", "1ms")
	if err != nil || errOut != "" {
		t.Fatalf("%v, stderr %q", err, errOut)
	}
	if !strings.HasPrefix(out, "The shop listens on 127.0.0.1:") || !strings.Contains(out, "\ntotals ") {
		t.Errorf("printed %q", out)
	}
	for _, want := range append(methodNames(), "CART_FULL 1", "RATE_LIMITED ", "BREAKER_OPEN ", "MISSING_TOKEN 1",
		"INVALID_TOKEN 2", "ACCESS_DENIED 1", "TOKEN_EXPIRED 1", "8 attempts  4 succeeded", "breakers    shop.v1.Catalog open") {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %q", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("escape sequences in a buffer: %q", out)
	}
}

func TestLog(t *testing.T) {
	hauberktest.CheckLeaks(t)
	_, errOut, err := runDemo(t, "--for", "1ms", "--log")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"panic in a call", "shard 3 of the index", "request_id=", "reason=CART_FULL", "decisions=",
		"user=bertha", "attempt=3", "trace_id=", "span_id=",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("no %q in the log", want)
		}
	}
	for line := range strings.Lines(errOut) {
		if strings.Contains(line, `msg="panic in a call"`) && !named.MatchString(line) {
			t.Errorf("a panic without the user of its call: %s", line)
		}
	}
}

// named matches a record with the ids of its call.
var named = regexp.MustCompile(` request_id=\S+ user=\S+ trace_id=[0-9a-f]{32} span_id=[0-9a-f]{16} panic_at="\S+ \S+" exception\.stacktrace=`)

func TestSignal(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var out, errOut bytes.Buffer
			begun := &announced{w: &errOut, signal: sig}
			if err := command(&out, begun, "--json").Execute(); err != nil {
				t.Fatal(err)
			}
			if begun.err != nil {
				t.Fatal(begun.err)
			}
			checkSums(t, decode(t, out.String()))
		})
	}
}

// announced sends a signal to the process on the first write.
type announced struct {
	w      io.Writer
	signal os.Signal
	once   sync.Once
	err    error
}

func (a *announced) Write(p []byte) (int, error) {
	a.once.Do(func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(a.signal)
		}
		a.err = err
	})
	return a.w.Write(p)
}

func TestWrongFlags(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--for", "soon"}, `invalid argument "soon" for "--for" flag: time: invalid duration "soon"`},
		{[]string{"--for", "10"}, `invalid argument "10" for "--for" flag: time: missing unit in duration "10"`},
		{[]string{"--for", "0s"}, `--for is 0s; want a time above 0, such as 10s`},
		{[]string{"--for", "-1s"}, `--for is -1s; want a time above 0, such as 10s`},
		{[]string{"--rate", "0"}, `--rate is 0; want 1 to 10000 calls per second`},
		{[]string{"--rate", "10001"}, `--rate is 10001; want 1 to 10000 calls per second`},
		{[]string{"--for", "0s", "--rate", "-3"}, "--for is 0s; want a time above 0, such as 10s\n--rate is -3; want 1 to 10000 calls per second"},
		{[]string{"--telemetry", "here"}, `--telemetry "here" is not an address: missing port in address; want host:port, such as 127.0.0.1:9464`},
		{[]string{"now"}, `unknown command "now" for "demo"`},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			out, errOut, err := runDemo(t, test.args...)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v; want %s", err, test.want)
			}
			if out+errOut != "" {
				t.Errorf("printed %q", out+errOut)
			}
		})
	}
}

// A wrong value is reported like a wrong flag, so that the exit code is the same.
func TestWrongValueIsFlagError(t *testing.T) {
	marked := errors.New("marked")
	cmd := command(io.Discard, io.Discard, "--rate", "0")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errors.Join(marked, err) })
	if err := cmd.Execute(); !errors.Is(err, marked) {
		t.Errorf("error %v; want the flag error function's", err)
	}
}

// failing is a writer that fails after a number of writes.
type failing struct{ after int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	f.after--
	if f.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	tests := []struct {
		name        string
		out, errOut failing
		args        []string
	}{
		{"the announcement", failing{0}, failing{9}, nil},
		{"the first table", failing{1}, failing{9}, nil},
		{"the last table", failing{1}, failing{9}, []string{"--for", "1ms"}},
		{"the announcement before JSON", failing{9}, failing{0}, []string{"--json"}},
		{"the JSON", failing{0}, failing{9}, []string{"--json", "--for", "1ms"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			if err := command(&test.out, &test.errOut, test.args...).Execute(); !errors.Is(err, errFull) {
				t.Errorf("error %v; want %v", err, errFull)
			}
		})
	}
}
