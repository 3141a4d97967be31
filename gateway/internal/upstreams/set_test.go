package upstreams

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
)

func addresses(n int) (all []target.Address) {
	for i := range n {
		all = append(all, target.Address{Network: "tcp", Address: fmt.Sprintf("10.0.0.%d:1", i)})
	}
	return all
}

// start returns a set without jitter and with n addresses.
func start(t *testing.T, n int, config Config) *Set[int] {
	t.Helper()
	config.MinBackoff, config.MaxBackoff, config.MaxConns = 50*time.Millisecond, 500*time.Millisecond, 2
	config.Random = func() float64 { return 0.5 }
	s, err := New[int](config)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(addresses(n))
	s.turn = 0
	return s
}

var (
	epoch   = time.Unix(1e9, 0)
	errDial = errors.New("dial failed")
)

// at returns a time, in ms.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// describe writes a choice as the index of the endpoint, those to connect to, and the error.
func describe(s *Set[int], c Choice[int]) string {
	text := "-"
	for i, e := range s.endpoints {
		if c.Endpoint == e {
			text = fmt.Sprint(i)
		}
	}
	for _, e := range c.Connect {
		text += " +" + e.Address.Address[len("10.0.0."):len("10.0.0.")+1]
	}
	if c.Err != nil {
		text += " " + c.Err.Error()
	}
	if !c.At.IsZero() {
		text += fmt.Sprintf(" @%d", c.At.Sub(epoch).Milliseconds())
	}
	return text
}

// TestSchedules runs schedules of events and compares each choice.
func TestSchedules(t *testing.T) {
	type step struct {
		ms   int
		do   string // an event and the endpoint
		want string // of Pick afterwards
	}
	tests := []struct {
		name   string
		n      int
		config Config
		steps  []step
	}{
		{"the first address", 2, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{100, "", "- @250"},
			{100, "connected 0", "0"},
			{200, "", "0"},
		}},
		{"a failure begins the next attempt", 2, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{10, "failed 0", "- +1 @260"},
			{20, "connected 1", "1"},
			{900, "", "1"},
		}},
		{"a slow attempt begins the next, and the first connection wins", 3, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{250, "", "- +1 @500"},
			{300, "connected 1", "1"},
			{310, "surplus 0", "1"},
			{320, "lost 1", "- +0 @570"},
		}},
		{"all fail, and backoff grows", 2, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{0, "failed 0", "- +1 @250"},
			{10, "failed 1", "- dial failed @50"},
			{49, "", "- dial failed @50"},
			{50, "", "- +0 @300"},
			{50, "failed 0", "- dial failed @60"},
			{60, "", "- +1 @310"},
			{60, "failed 1", "- dial failed @130"},
		}},
		{"a connection that lasts resets the backoff", 1, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{0, "failed 0", "- dial failed @50"},
			{50, "", "- +0 @300"},
			{60, "connected 0", "0"},
			{560, "lost 0", "- +0 @810"},
			{560, "failed 0", "- dial failed @610"},
		}},
		{"connections that are lost at once", 1, Config{Policy: PickFirst}, []step{
			{0, "", "- +0 @250"},
			{0, "connected 0", "0"},
			{0, "lost 0", "- +0 @250"},
			{0, "connected 0", "0"},
			{0, "lost 0", "- dial failed @50"},
			{50, "", "- +0 @300"},
			{50, "connected 0", "0"},
			{50, "lost 0", "- dial failed @130"},
		}},
		{"turns", 3, Config{Policy: RoundRobin}, []step{
			{0, "", "- +0 +1 +2"},
			{0, "connected 1", "1"},
			{0, "", "1"},
			{0, "connected 2", "2"},
			{0, "", "1"},
			{0, "connected 0", "2"},
			{0, "", "0"},
			{0, "", "1"},
			{0, "lost 2", "0 +2"},
			{0, "failed 2", "1"},
			{0, "", "0"},
			{600, "", "1 +2"},
		}},
		{"turns, and all fail", 2, Config{Policy: RoundRobin}, []step{
			{0, "", "- +0 +1"},
			{0, "failed 0", "-"},
			{10, "failed 1", "- dial failed @50"},
			{50, "", "- +0"},
		}},
		{"health", 2, Config{Policy: PickFirst, Checked: true}, []step{
			{0, "", "- +0 @250"},
			{10, "connected 0", "- @260"},
			{20, "serving 0", "0"},
			{30, "sick 0", "- +1 @280"},
			{40, "connected 1", "- @290"},
			{50, "sick 1", "- the health check of 10.0.0.0:1 fails: sick"},
			{60, "serving 1", "1"},
			{70, "serving 0", "1"},
			{600, "lost 1", "0"},
		}},
		{"ejection", 2, Config{Policy: PickFirst, EjectAfter: 2, EjectTime: time.Second, EjectPercent: 50}, []step{
			{0, "connected 0", "0"},
			{0, "error 0", "0"},
			{0, "answer 0", "0"},
			{0, "error 0", "0"},
			{0, "error 0", "- +1 @250"},
			{0, "connected 1", "1"},
			{0, "error 1", "1"},
			{0, "error 1", "1"}, // not more than half
			{1000, "error 1", "0"},
		}},
		{"ejection of all", 1, Config{Policy: RoundRobin, EjectAfter: 1, EjectTime: time.Second, EjectPercent: 100}, []step{
			{0, "connected 0", "0"},
			{0, "error 0", "- 10.0.0.0:1 is not used after 1 transport errors @1000"},
			{1000, "", "0"},
		}},
		{"no address", 0, Config{Policy: RoundRobin}, []step{{0, "", "- the upstream has no address"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.n, tt.config)
			for i, step := range tt.steps {
				now := at(step.ms)
				apply(t, s, step.do, now)
				if got := describe(s, s.Pick(now, s.failed)); got != step.want {
					t.Errorf("step %d, %d ms, %s: %q, want %q", i, step.ms, step.do, got, step.want)
				}
			}
		})
	}
}

func apply(t *testing.T, s *Set[int], event string, now time.Time) {
	t.Helper()
	verb, index, _ := strings.Cut(event, " ")
	if verb == "" {
		return
	}
	i := int(index[0] - '0')
	e := s.endpoints[i]
	switch verb {
	case "connected":
		if !s.Connected(e, i, now) {
			t.Errorf("%s: the connection is not needed", event)
		}
	case "surplus":
		if s.Connected(e, i, now) {
			t.Errorf("%s: the connection is needed", event)
		}
	case "failed":
		s.Failed(e, errDial, now)
	case "lost":
		s.Lost(e, i, errDial, now)
		s.Lost(e, i, errDial, now)
	case "serving":
		s.SetHealth(e, nil)
	case "sick":
		s.SetHealth(e, errors.New("sick"))
	default:
		s.Outcome(e, verb == "error", now)
	}
}

// Endpoints that remain keep their connections, and those of the others are returned.
func TestUpdate(t *testing.T) {
	s := start(t, 3, Config{Policy: PickFirst})
	first, last := s.endpoints[0], s.endpoints[2]
	s.Connected(first, 7, at(0))
	s.Connected(last, 9, at(0))
	s.Pick(at(0), 0)
	if removed := s.Update(append(addresses(2)[1:], last.Address, last.Address)); len(removed) != 1 || removed[0] != 7 {
		t.Errorf("removed %v, want that of the first", removed)
	}
	if got := describe(s, s.Pick(at(1), 0)); got != "1" || len(s.endpoints) != 2 {
		t.Errorf("%s of %d, want the last of 2", got, len(s.endpoints))
	}
	if s.Connected(first, 8, at(2)) || s.More(first, at(2)) || s.Outcome(first, true, at(2)) {
		t.Error("an address that was removed is used")
	}
}

// More permits one attempt at a time, up to the limit of connections.
func TestMore(t *testing.T) {
	s := start(t, 1, Config{Policy: PickFirst})
	e := s.endpoints[0]
	s.Connected(e, 1, at(0))
	if !s.More(e, at(0)) || s.More(e, at(0)) || !e.Connecting() {
		t.Error("More permits other than one attempt")
	}
	s.Failed(e, errDial, at(0))
	if s.More(e, at(49)) || !s.More(e, at(50)) {
		t.Error("More ignores the backoff")
	}
	if !s.Connected(e, 2, at(50)) || s.More(e, at(1000)) {
		t.Error("More exceeds the limit")
	}
	if got := describe(s, s.Pick(at(60), 0)); got != "0" {
		t.Error(got)
	}
}

// A call waits for one attempt to each address, and not for those that follow.
func TestOneAttemptForEachAddress(t *testing.T) {
	for _, policy := range []Policy{PickFirst, RoundRobin} {
		s := start(t, 2, Config{Policy: policy})
		since := s.LastFailure()
		s.Pick(at(0), since)
		s.Pick(at(250), since)
		first, second := s.endpoints[0], s.endpoints[1]
		s.Failed(first, errDial, at(5000))
		if c := s.Pick(at(5050), since); c.Err != nil {
			t.Errorf("%s: %v, but the second attempt runs", policy, c.Err)
		}
		if c := s.Pick(at(5050), s.LastFailure()); c.Err != nil || !first.Connecting() {
			t.Errorf("%s: %v for a call that has begun since", policy, c.Err)
		}
		s.Failed(second, errDial, at(5250))
		if c := s.Pick(at(5250), since); !errors.Is(c.Err, errDial) {
			t.Errorf("%s: %v, but both attempts have failed", policy, c.Err)
		}
	}
}

// The error of an endpoint whose connections are lost soon says so, until an attempt has failed.
func TestLostSoon(t *testing.T) {
	s := start(t, 1, Config{})
	e := s.endpoints[0]
	for i := range 2 {
		s.Pick(at(i), 0)
		s.Connected(e, i, at(i))
		s.Lost(e, i, errDial, at(i))
	}
	c := s.Pick(at(2), s.LastFailure())
	if !errors.Is(c.Err, errDial) || !IsLost(c.Err) {
		t.Errorf("%v; want that the connection was lost", c.Err)
	}
	s.Pick(c.At, s.LastFailure())
	s.Failed(e, errDial, c.At)
	if c := s.Pick(c.At, s.LastFailure()); !errors.Is(c.Err, errDial) || IsLost(c.Err) {
		t.Errorf("%v; want that an attempt has failed", c.Err)
	}
}
