package contract_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hauberk-rpc/hauberk"
)

// outcome is the outcome of a scenario.
type outcome struct {
	Scenario  string         `json:"scenario"`
	Oracle    string         `json:"oracle"` // the implementation that wrote it
	Calls     []callOutcome  `json:"calls"`
	Snapshots map[string]any `json:"snapshots,omitempty"`
}

// callOutcome is the outcome of a call on both ends.
type callOutcome struct {
	ID        string        `json:"id"`
	Client    clientOutcome `json:"client"`
	Handler   []invocation  `json:"handler"`
	Order     []string      `json:"order,omitempty"`
	ClientLog []string      `json:"client_log,omitempty"`
	ServerLog []string      `json:"server_log,omitempty"`
	Records   *records      `json:"records,omitempty"`
}

// records are the records of the logging interceptors about a call.
type records struct {
	Client []map[string]any `json:"client"`
	Server []map[string]any `json:"server"`
}

// clientOutcome is the result of a call for the application.
type clientOutcome struct {
	Kind      string `json:"kind"`
	Code      string `json:"code"`
	Details   string `json:"details"`
	Responses any    `json:"responses"` // []response, or {"count": n}
	Initial   []pair `json:"initial"`
	Trailing  []pair `json:"trailing"`
	Within    *bool  `json:"within,omitempty"`
	AtLeast   *bool  `json:"at_least,omitempty"`
}

// response is a response in the form of outcomes.
type response struct {
	Msg        string            `json:"msg"`
	State      map[string]string `json:"state,omitempty"`
	Metadata   []pair            `json:"metadata,omitempty"`
	PayloadLen int               `json:"payload_len,omitempty"`
}

// results are the outcomes of the ended calls for the application.
type results struct {
	mu   sync.Mutex
	byID map[string]clientOutcome
}

func (r *results) put(id string, c clientOutcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[id] = c
}

// report assembles the outcome of the scenario.
func (w *world) report() *outcome {
	out := &outcome{Scenario: w.scenario.Name, Oracle: "hauberk", Snapshots: w.snapshots}
	for _, id := range keys(w.results.byID, nil) {
		out.Calls = append(out.Calls, w.reportCall(id))
	}
	return out
}

func (w *world) reportCall(id string) callOutcome {
	c := callOutcome{ID: id, Client: w.results.byID[id], Handler: w.journal.invocationsOf(id)}
	if w.scenario.Order == "combined" {
		c.Order = w.journal.logOf(id, hauberk.ClientSide, hauberk.ServerSide)
	} else {
		c.ServerLog = w.journal.logOf(id, hauberk.ServerSide)
		c.ClientLog = slices.DeleteFunc(w.journal.logOf(id, hauberk.ClientSide), func(line string) bool {
			return strings.HasPrefix(line, "call:end")
		})
	}
	r := &records{
		Client: w.journal.recordsOf(id, hauberk.ClientSide),
		Server: w.journal.recordsOf(id, hauberk.ServerSide),
	}
	if len(r.Client)+len(r.Server) > 0 {
		c.Records = r
	}
	return c
}

// write writes an outcome to a folder, under the scenario's name.
func (o *outcome) write(folder string) error {
	raw, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, o.Scenario+".json"), append(raw, '\n'), 0o644)
}
