package contract_test

import (
	"context"
	"sync"

	"github.com/hauberk-rpc/hauberk"
)

// journal contains the reports of interceptors, handlers and loggers about calls, in order.
type journal struct {
	mu          sync.Mutex
	entries     []entry
	records     []record
	invocations []*invocation
}

// entry is one line of a call's log.
type entry struct {
	call string
	side hauberk.Side
	text string
}

// record is the record of a logging interceptor about a call.
type record struct {
	call string
	side hauberk.Side
	body map[string]any
}

// invocation is one run of the handler.
type invocation struct {
	call     string
	Method   string            `json:"method"`
	Kind     string            `json:"kind"`
	Metadata []pair            `json:"metadata"`
	State    map[string]string `json:"state"`
	Deadline string            `json:"deadline"`
	Requests []string          `json:"requests"`
	End      string            `json:"end"`
}

func (j *journal) log(call string, side hauberk.Side, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry{call, side, text})
}

func (j *journal) record(call string, side hauberk.Side, body map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, record{call, side, body})
}

func (j *journal) started(i *invocation) {
	j.mu.Lock()
	j.invocations = append(j.invocations, i)
	j.mu.Unlock()
	j.log(i.call, hauberk.ServerSide, "handler:start")
}

func (j *journal) request(i *invocation, msg string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i.Requests = append(i.Requests, msg)
}

func (j *journal) ended(i *invocation, how string) {
	j.mu.Lock()
	i.End = how
	j.mu.Unlock()
	j.log(i.call, hauberk.ServerSide, "handler:end("+how+")")
}

// logOf returns the log of a call, of both sides or of one.
func (j *journal) logOf(call string, sides ...hauberk.Side) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := []string{}
	for _, e := range j.entries {
		for _, s := range sides {
			if e.call == call && e.side == s {
				lines = append(lines, e.text)
			}
		}
	}
	return lines
}

func (j *journal) recordsOf(call string, side hauberk.Side) []map[string]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	bodies := []map[string]any{}
	for _, r := range j.records {
		if r.call == call && r.side == side {
			bodies = append(bodies, r.body)
		}
	}
	return bodies
}

// invocationsOf returns copies of a call's runs of the handler.
func (j *journal) invocationsOf(call string) []invocation {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := []invocation{}
	for _, i := range j.invocations {
		if i.call == call {
			one := *i
			one.Requests = append([]string{}, i.Requests...)
			all = append(all, one)
		}
	}
	return all
}

// idOf returns the id of a call in the scenario.
func idOf(ctx context.Context, call *hauberk.Call) string {
	if ids := call.Metadata(ctx, callIDKey); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return "?"
}
