package rlsserver

// Snapshot is what a server has done so far.
type Snapshot struct {
	// Limits has the limits in force, those that requests carried last.
	Limits []LimitSnapshot
	// Unknown is the number of descriptors for which there was no limit.
	Unknown uint64
	// Malformed is the number of requests that ended with INVALID_ARGUMENT.
	Malformed uint64
	// Failed is the number of requests that ended with another error.
	Failed uint64
	// StoreFailures is the number of failures of the store.
	StoreFailures uint64
	// StoreFailing reports whether requests do without the store now.
	StoreFailing bool
}

// LimitSnapshot is the decisions by one limit.
type LimitSnapshot struct {
	// Domain is the domain, "" for limits that requests carry.
	Domain string
	// Descriptor has the keys and values: `"user"="batch", "method"`.
	Descriptor string
	// OK is the number of descriptors that were within the limit.
	OK uint64
	// OverLimit is the number of those that were over it.
	OverLimit uint64
	// ShadowOverLimit is the number of those that were over it in shadow mode.
	ShadowOverLimit uint64
	// Keys is the number of quotas in memory.
	Keys int
	// Evicted is the number of quotas that were evicted since there were more than MaxKeys.
	Evicted uint64
}

// Snapshot returns the counts. Safe for concurrent use.
func (s *Server) Snapshot() Snapshot {
	st := s.state.Load()
	all := Snapshot{
		Unknown: s.unknown.Load(), Malformed: s.malformed.Load(), Failed: s.failed.Load(),
		Limits: make([]LimitSnapshot, 0, len(st.rules)),
	}
	if g := s.guard.Load(); g != nil {
		all.StoreFailures, all.StoreFailing = g.Failures()
	}
	for _, r := range st.rules {
		l := LimitSnapshot{
			Domain: r.domain, Descriptor: r.path,
			OK: r.ok.Load(), OverLimit: r.over.Load(), ShadowOverLimit: r.shadowOver.Load(),
		}
		l.Keys, l.Evicted = r.memory.Size()
		all.Limits = append(all.Limits, l)
	}
	return all
}
