package upstreams

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// FuzzSet runs a schedule of events, two bytes each, and checks each choice:
//   - an endpoint that is chosen has a connection, is healthy and is not ejected;
//   - an attempt begins only if none runs and the delay is over;
//   - a call waits only if an attempt runs or a health is unknown, and fails only if not;
//   - no more endpoints are ejected than EjectPercent permits.
func FuzzSet(f *testing.F) {
	f.Add([]byte("\x00\x00\x11\x05\x22\x10\x03\x00\x44\x01"), false, false)
	f.Add([]byte("\x00\x01\x11\x02\x52\x10\x63\x00\x74\x01\x00\x00"), true, true)
	f.Fuzz(func(t *testing.T, events []byte, turns, checked bool) {
		config := Config{Policy: PickFirst, Checked: checked, EjectAfter: 2, EjectTime: time.Second, EjectPercent: 50}
		if turns {
			config.Policy = RoundRobin
		}
		s := start(t, 4, config)
		all, now, next := slices.Clone(s.endpoints), epoch, 0
		for i := 0; i+1 < len(events); i += 2 {
			now = now.Add(time.Duration(events[i+1]) * time.Millisecond)
			e := all[events[i]%4]
			switch events[i] / 4 % 9 {
			case 0:
				if e.Connecting() {
					next++
					s.Connected(e, next, now)
				}
			case 1:
				if e.Connecting() {
					s.Failed(e, errDial, now)
				}
			case 2:
				if len(e.Conns) > 0 {
					s.Lost(e, e.Conns[len(e.Conns)-1], errDial, now)
				}
			case 3:
				s.SetHealth(e, nil)
			case 4:
				s.SetHealth(e, errors.New("sick"))
			case 5, 6:
				s.Outcome(e, events[i]/4%9 == 5, now)
			case 7:
				if len(e.Conns) > 0 {
					s.More(e, now)
				}
			default:
				s.Update(addresses(4)[:1+events[i]%4])
				all = all[:0]
				for len(all) < 4 {
					all = append(all, s.endpoints...)
				}
			}
			checkPick(t, s, now)
		}
	})
}

func checkPick(t *testing.T, s *Set[int], now time.Time) {
	t.Helper()
	waits, out := 0, 0
	var idling []*Endpoint[int]
	for _, e := range s.endpoints {
		switch e.state(now) {
		case pending:
			waits++
		case idle:
			idling = append(idling, e)
		case ejected:
			out++
		default:
		}
		if len(e.Conns) > s.config.MaxConns {
			t.Errorf("%d connections, want at most %d", len(e.Conns), s.config.MaxConns)
		}
	}
	c := s.Pick(now, s.failed)
	for _, e := range c.Connect {
		if !slices.Contains(idling, e) || !e.Connecting() {
			t.Errorf("an attempt to %s, which is not idle", e.Address.Address)
		}
	}
	switch e := c.Endpoint; {
	case e != nil && (e.removed || len(e.Conns) == 0 || !e.serving || now.Before(e.ejected)):
		t.Errorf("%+v is used", e)
	case e == nil && c.Err == nil && waits == 0 && len(c.Connect) == 0:
		t.Error("a call waits for nothing")
	case c.Err != nil && (e != nil || waits > 0 || len(idling) > 0):
		t.Errorf("a call fails with %v, but %d attempts run and %d endpoints are idle", c.Err, waits, len(idling))
	}
	if e := c.Endpoint; e == nil && c.Err == nil && !c.At.IsZero() && c.At.Before(now) {
		t.Errorf("Pick is to be called again at %v, which is before %v", c.At, now)
	}
	if out*100 > s.config.EjectPercent*len(s.endpoints) && len(s.endpoints) == 4 {
		t.Errorf("%d of %d are ejected", out, len(s.endpoints))
	}
}
