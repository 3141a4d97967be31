package version

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk"
)

// Other is the client of calls that are not counted separately.
const Other = "other"

// Count is the number of calls of a client with a version.
type Count struct {
	// Client is the name of the client, or Other.
	Client string
	// Version is the first two numbers of the version: "1.8". It is empty for Other.
	Version string
	// Calls is the number of calls, and Rejected of those that were rejected.
	Calls, Rejected uint64
}

// Snapshot returns the calls since New, sorted by client and version. Safe for concurrent use.
func (x *Interceptor) Snapshot() []Count {
	if x.counts == nil {
		return nil
	}
	return x.counts.snapshot()
}

// Measurements returns the numbers of [Interceptor.Snapshot]: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	counts := x.Snapshot()
	all := make([]hauberk.Measurement, 0, 2*len(counts))
	for _, c := range counts {
		label := c.Client
		if c.Version != "" {
			label += "/" + c.Version
		}
		all = append(all,
			hauberk.Measurement{
				Name: "version_calls_total", Counter: true, Value: float64(c.Calls),
				LabelName: "client", LabelValue: label, Help: "Calls, by client and version.",
			},
			hauberk.Measurement{
				Name: "version_rejected_total", Counter: true, Value: float64(c.Rejected),
				LabelName: "client", LabelValue: label, Help: "Calls that were rejected, by client and version.",
			})
	}
	return all
}

// counts are the calls by client and version. Safe for concurrent use.
type counts struct {
	names []string // the clients that are counted
	most  int
	other count

	mu    sync.RWMutex
	byKey map[countKey]*count // guarded by mu, the counts are not
}

type countKey struct{ client, version string }

type count struct{ calls, rejected atomic.Uint64 }

func newCounts(config Config) *counts {
	names := slices.Clone(config.Count)
	for _, r := range config.Rules {
		names = append(names, r.Client)
	}
	return &counts{names: names, most: config.MaxVersions, byKey: make(map[countKey]*count)}
}

func (c *count) add(rejected bool) {
	c.calls.Add(1)
	if rejected {
		c.rejected.Add(1)
	}
}

// of returns the count of a client.
func (s *counts) of(c client) *count {
	if !c.known || !slices.Contains(s.names, c.name) {
		return &s.other
	}
	key := countKey{c.name, c.version.MajorMinor()}
	s.mu.RLock()
	found := s.byKey[key]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	return s.add(key)
}

// add adds a count, unless there are too many.
func (s *counts) add(key countKey) *count {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.byKey[key]; found != nil {
		return found
	}
	if len(s.byKey) >= s.most {
		return &s.other
	}
	added := new(count)
	s.byKey[key] = added
	return added
}

func (s *counts) snapshot() []Count {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := append(make([]Count, 0, 1+len(s.byKey)),
		Count{Client: Other, Calls: s.other.calls.Load(), Rejected: s.other.rejected.Load()})
	for key, c := range s.byKey {
		all = append(all, Count{key.client, key.version, c.calls.Load(), c.rejected.Load()})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Version, b.Version))
	})
	return all
}
