package logging_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// journal keeps the log, and signals each record.
type journal struct {
	mu    sync.Mutex
	text  strings.Builder
	wrote chan struct{}
}

func newJournal() *journal { return &journal{wrote: make(chan struct{}, 1000)} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wrote <- struct{}{}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// logger logs every level.
func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.Level(-100)}))
}

// option is the option that most tests use.
func (j *journal) option() logging.Option { return logging.WithLogger(j.logger()) }

func (j *journal) records(t *testing.T) []map[string]any {
	t.Helper()
	var records []map[string]any
	for line := range strings.Lines(j.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

// only returns the only record.
func (j *journal) only(t *testing.T) map[string]any {
	t.Helper()
	records := j.records(t)
	if len(records) != 1 {
		t.Fatalf("%d records, want 1: %v", len(records), records)
	}
	return records[0]
}

// check compares attributes of a record. nil means that the record must not have one.
func check(t *testing.T, record, want map[string]any) {
	t.Helper()
	for key, value := range want {
		got, there := record[key]
		if value == nil && there || value != nil && got != value {
			t.Errorf("%s is %v (%T), want %v (%T)", key, got, got, value, value)
		}
	}
}

func checkEqual(t *testing.T, got, want []any) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// codeName returns the name of a code as gRPC's documentation spells it.
func codeName(c codes.Code) string { return code.Code(c).String() }
