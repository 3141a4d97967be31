package rlsserver

import (
	"cmp"
	"strconv"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// entry is an entry of a descriptor. In a tree, an empty value means all.
type entry struct{ key, value string }

func (e entry) String() string {
	if e.value == "" {
		return strconv.Quote(e.key)
	}
	return strconv.Quote(e.key) + "=" + strconv.Quote(e.value)
}

// node is a node of the tree of a domain's limits. It does not change.
type node struct {
	rule      *rule // nil if there is no limit
	unlimited bool
	children  map[entry]*node
}

// find returns the node of a descriptor, or nil.
func (n *node) find(entries []entry) *node {
	for _, e := range entries {
		next := n.children[e]
		if next == nil {
			next = n.children[entry{key: e.key}]
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}

// rule is a limit in force.
type rule struct {
	Limit
	*meter

	index int // among the limits of the store
}

// identity is what limits with the same quotas have in common.
type identity struct {
	domain string // "" of limits that requests carry
	path   string // the keys and values of the descriptor
	quota  quota.Limit
	keys   int
}

// meter is the quotas of a limit, and the counts of its decisions. It is the same after a reload
// if the limit is.
type meter struct {
	identity

	memory     *quota.Memory // the part of this node if there is a store
	ok         atomic.Uint64
	over       atomic.Uint64
	shadowOver atomic.Uint64
}

// newMeter returns the quotas of a limit. nodes is the number of servers that share it.
func newMeter(id identity, nodes int) (*meter, error) {
	memory, err := quota.New(id.quota.Part(nodes), id.keys)
	return &meter{identity: id, memory: memory}, err
}

// count counts a decision.
func (r *rule) count(ok bool) {
	switch {
	case ok:
		r.ok.Add(1)
	case r.Mode == Shadow:
		r.shadowOver.Add(1)
	default:
		r.over.Add(1)
	}
}

// policy describes the limit to clients.
func (r *rule) policy() quota.Policy {
	return quota.Policy{Name: cmp.Or(r.Name, r.path), Permits: r.Permits, Per: r.Per}
}

// stored returns the limit as a store has it.
func (r *rule) stored() ratelimit.Limit {
	q := r.identity.quota
	return ratelimit.Limit{
		Name: r.path, ID: strconv.Quote(r.domain) + " " + r.path, Joint: true,
		Permits: q.Permits, Per: q.Per, Burst: q.Burst, Algorithm: ratelimit.Algorithm(q.Algorithm),
	}
}
