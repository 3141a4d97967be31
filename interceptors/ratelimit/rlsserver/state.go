package rlsserver

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// maxOverrides is the number of different limits that requests may carry.
const maxOverrides = 256

// state is a configuration in force. It does not change: another one replaces it.
type state struct {
	config    Config
	domains   map[string]*node
	rules     []*rule // all of the tree, then those that requests carried
	overrides map[quota.Limit]*rule
	quotas    ratelimit.Quotas // nil without a store
}

// build returns the state for a configuration with its defaults. Limits that old has keep their
// quotas.
func (s *Server) build(c Config, old *state) (*state, error) {
	if s.store == nil && c.Shared != (Config{}).withDefaults().Shared {
		return nil, errors.New("the Shared settings have no effect without WithStore")
	}
	kept := make(map[identity]*meter)
	if old != nil {
		for _, r := range old.rules {
			kept[r.identity] = r.meter
		}
		if old.config.Shared.Nodes != c.Shared.Nodes {
			clear(kept)
		}
	}
	b := &builder{state: &state{config: c, domains: make(map[string]*node)}, kept: kept}
	for _, d := range c.Domains {
		b.domains[d.Name] = &node{children: b.children(d.Name, "", d.Descriptors)}
	}
	if c.Overrides && old != nil && old.config.OverrideAlgorithm == c.OverrideAlgorithm &&
		old.config.MaxKeys == c.MaxKeys && old.config.Shared.Nodes == c.Shared.Nodes {
		b.overrides = maps.Clone(old.overrides)
		for q, r := range b.overrides {
			b.overrides[q] = b.add(&rule{Limit: r.Limit, meter: r.meter})
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.state, b.open(s.store)
}

// builder makes the tree of a state.
type builder struct {
	*state

	kept map[identity]*meter
	err  error
}

// children returns the nodes of descriptors. path has the keys and values above.
func (b *builder) children(domain, path string, all []Descriptor) map[entry]*node {
	nodes := make(map[entry]*node, len(all))
	for i := range all {
		d := &all[i]
		e := entry{d.Key, d.Value}
		at := e.String()
		if path != "" {
			at = path + ", " + at
		}
		n := &node{unlimited: d.Unlimited, children: b.children(domain, at, d.Descriptors)}
		if d.Limit != nil {
			n.unlimited = d.Limit.Mode == Off
			id := identity{domain: domain, path: at, quota: d.Limit.quota(), keys: b.config.MaxKeys}
			n.rule = b.rule(id, *d.Limit)
		}
		nodes[e] = n
	}
	return nodes
}

// rule returns a limit with its quotas.
func (b *builder) rule(id identity, l Limit) *rule {
	m := b.kept[id]
	if m == nil {
		var err error
		if m, err = newMeter(id, b.config.Shared.Nodes); err != nil {
			b.err = errors.Join(b.err, err)
		}
	}
	return b.add(&rule{Limit: l, meter: m})
}

// add adds a rule to those of the state.
func (st *state) add(r *rule) *rule {
	r.index = len(st.rules)
	st.rules = append(st.rules, r)
	return r
}

// open opens the quotas of all limits in a store, if there is one.
func (st *state) open(store ratelimit.Store) error {
	if store == nil {
		return nil
	}
	limits := make([]ratelimit.Limit, len(st.rules))
	for i, r := range st.rules {
		limits[i] = r.stored()
	}
	quotas, err := store.Open(limits)
	if err == nil && quotas == nil {
		err = errors.New("the store given to WithStore returned no quotas")
	}
	st.quotas = quotas
	return err
}

// addOverride adds a limit that a request carries.
func (s *Server) addOverride(q quota.Limit) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	st := s.state.Load()
	if st.overrides[q] != nil || !st.config.Overrides {
		return nil
	}
	if len(st.overrides) >= maxOverrides {
		return status.Errorf(codes.ResourceExhausted, "requests carry more than %d different limits", maxOverrides)
	}
	path := fmt.Sprintf("limit of the request: %d in %v", q.Permits, q.Per)
	m, err := newMeter(identity{path: path, quota: q, keys: st.config.MaxKeys}, st.config.Shared.Nodes)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	next := *st
	next.rules = slices.Clone(st.rules)
	next.overrides = make(map[quota.Limit]*rule, len(st.overrides)+1)
	maps.Copy(next.overrides, st.overrides)
	next.overrides[q] = next.add(&rule{meter: m, Limit: Limit{
		Permits: q.Permits, Per: q.Per, Burst: q.Burst, Algorithm: ratelimit.Algorithm(q.Algorithm),
	}})
	if err := next.open(s.store); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	s.state.Store(&next)
	return nil
}
