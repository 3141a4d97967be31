package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scenario is a server and a client with their chains, and the steps to run.
type scenario struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	Contract []string        `json:"contract"`  // ids
	Clock    string          `json:"clock"`     // "manual", or "" for the real one
	Order    string          `json:"order"`     // "combined": one log of both ends
	NoServer bool            `json:"no_server"` // the client dials a dead port
	Portable string          `json:"portable"`  // for the golden file
	Compare  json.RawMessage `json:"compare"`   // for the golden file
	Server   chainSpec       `json:"server"`
	Client   chainSpec       `json:"client"`
	Steps    []step          `json:"steps"`
}

// chainSpec is a chain's interceptors, outermost first.
type chainSpec struct {
	Interceptors []json.RawMessage `json:"interceptors"`
}

// step is one of: a call, concurrent calls, a wait, a snapshot.
type step struct {
	Call        json.RawMessage   `json:"call"`
	Parallel    []json.RawMessage `json:"parallel"`
	StaggerMS   float64           `json:"stagger_ms"`
	AdvanceMS   *float64          `json:"advance_ms"`
	SleepMS     *float64          `json:"sleep_ms"`
	Snapshot    string            `json:"snapshot"`
	Side        string            `json:"side"`
	Interceptor string            `json:"interceptor"`
}

// readScenario reads a scenario's file, which has the scenario's name.
func readScenario(path string) (*scenario, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sc, err := parseScenario(raw)
	if err == nil && sc.Name+".json" != filepath.Base(path) {
		err = fmt.Errorf("the scenario is named %q", sc.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sc, nil
}

func parseScenario(raw []byte) (*scenario, error) {
	sc := new(scenario)
	if err := decode(raw, sc); err != nil {
		return nil, err
	}
	err := errors.Join(
		oneOf("clock", sc.Clock, "", "manual"),
		oneOf("order", sc.Order, "", "combined"),
		oneOf("portable", sc.Portable, "", "yes", "no", "optional"),
	)
	for i := range sc.Steps {
		if stepErr := sc.Steps[i].check(); stepErr != nil {
			err = errors.Join(err, fmt.Errorf("step %d: %w", i+1, stepErr))
		}
	}
	return sc, err
}

func oneOf(key, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("%q is %q; known are %q", key, value, known)
}

// check rejects a step that is none or several of these, and keys that belong to another step.
func (s *step) check() error {
	var is []string
	for name, there := range map[string]bool{
		"call": s.Call != nil, "parallel": s.Parallel != nil, "advance_ms": s.AdvanceMS != nil,
		"sleep_ms": s.SleepMS != nil, "snapshot": s.Snapshot != "",
	} {
		if there {
			is = append(is, name)
		}
	}
	switch {
	case len(is) != 1:
		return fmt.Errorf("it is %q; want one of call, parallel, advance_ms, sleep_ms and snapshot", is)
	case s.StaggerMS != 0 && s.Parallel == nil:
		return errors.New("stagger_ms belongs to parallel")
	case s.Snapshot == "" && s.Side+s.Interceptor != "":
		return errors.New("side and interceptor belong to snapshot")
	case s.Snapshot != "":
		return oneOf("side", s.Side, "server", "client")
	default:
		return nil
	}
}

// callSpec is one call.
type callSpec struct {
	ID            string      `json:"id"`
	Kind          string      `json:"kind"`
	Times         *int        `json:"times"`
	Service       string      `json:"service"`
	Method        string      `json:"method"`
	Requests      []request   `json:"requests"`
	Metadata      []pair      `json:"metadata"`
	TimeoutMS     float64     `json:"timeout_ms"`
	WaitForReady  bool        `json:"wait_for_ready"`
	Cancel        *cancelSpec `json:"cancel"`
	HoldOpen      bool        `json:"hold_open"`
	Lockstep      bool        `json:"lockstep"`
	WithinMS      *float64    `json:"within_ms"`
	AtLeastMS     *float64    `json:"at_least_ms"`
	KeepResponses string      `json:"keep_responses"`
	RequestGapMS  float64     `json:"request_gap_ms"` // between the application's requests
	ReadGapMS     float64     `json:"read_gap_ms"`    // after each response
}

// cancelSpec describes when the application cancels its call.
type cancelSpec struct {
	AfterMS        *float64 `json:"after_ms"`
	AfterResponses int      `json:"after_responses"`
}

// expand returns the calls that a description produces: one for each of times, and for each kind if
// the kind is "all".
func expand(raw json.RawMessage) ([]callSpec, error) {
	var head callSpec
	if err := decode(raw, &head); err != nil {
		return nil, err
	}
	times := 1
	if head.Times != nil {
		times = *head.Times
	}
	var out []callSpec
	for i := range times {
		c := head
		if times > 1 {
			var err error
			if c, err = numbered(raw, head.ID, i); err != nil {
				return nil, err
			}
		}
		kinds, err := c.kinds()
		if err != nil {
			return nil, err
		}
		out = append(out, kinds...)
	}
	return out, nil
}

// numbered returns one of several calls: "{i}" in any string is its number.
func numbered(raw json.RawMessage, id string, i int) (c callSpec, err error) {
	said, err := generic(raw)
	if err != nil {
		return c, err
	}
	text, err := json.Marshal(said) // which writes "{" only for placeholders in strings
	if err != nil {
		return c, err
	}
	err = decode([]byte(strings.ReplaceAll(string(text), "{i}", strconv.Itoa(i))), &c)
	c.ID = strings.ReplaceAll(fmt.Sprintf("%s#%02d", id, i), "{i}", strconv.Itoa(i))
	return c, err
}

// kinds returns the calls of c, one for each of its kinds.
func (c *callSpec) kinds() ([]callSpec, error) {
	if c.Kind != "all" {
		_, err := kindNamed(c.Kind)
		return []callSpec{*c}, errors.Join(err, c.check())
	}
	var out []callSpec
	for _, k := range kindNames {
		one := *c
		one.ID, one.Kind = c.ID+"/"+k.name, k.name
		out = append(out, one)
	}
	return out, c.check()
}

func (c *callSpec) check() error {
	if c.ID == "" {
		return errors.New("a call has no id")
	}
	return oneOf("keep_responses", c.KeepResponses, "", "count")
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
