package ratelimitrls

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// Config holds the settings of [New]. Domain must be set.
type Config struct {
	// Domain is the domain of all requests. Services that use the same server have different ones.
	Domain string
	// Descriptors says how the limits of the interceptor are described, in the order of
	// ratelimit.Config and its Also. The default describes each by the name of its key. Two limits by
	// the same key need different descriptors.
	Descriptors []Descriptor
	// ServerLimits leaves the limits to the server's configuration: requests carry none. Limit, Per and
	// Burst of ratelimit.Config then count for ratelimit.FailLocal only, and in headers.
	ServerLimits bool
	// AdmitUnlimited admits calls for which the server has no limit. By default such an answer is an
	// error, since a wrong domain or key would otherwise remove the limit.
	AdmitUnlimited bool
	// NegativeHits gives permits back, by the field is_negative_hits. A server that does not know the
	// field takes the permits once more. rlsserver knows it.
	NegativeHits bool
}

// Descriptor is how a limit is described.
type Descriptor struct {
	// Entries come first, and are the same in each request. Only the entry "limit" of limits of
	// ratelimit.FromPolicy is before them.
	Entries []Entry
	// Key is the key of the entry with the key of the call. The default is the kind of key, such as
	// "user".
	Key string
	// PeerKey is Key for calls that are counted by their peer, since they lack the key. The
	// default is the kind of key and "_peer". A limit by peer or network has only PeerKey, with the
	// default "peer" or "network".
	PeerKey string
}

// Entry is an entry of a descriptor.
type Entry struct {
	Key   string
	Value string
}

// limit is a limit with its descriptors.
type limit struct {
	ratelimit.Limit

	entries  []*ratelimitv3.RateLimitDescriptor_Entry // never modified: requests share them
	key      string
	peerKey  string
	override *ratelimitv3.RateLimitDescriptor_RateLimitOverride // nil if the server has the limit
}

// open returns the limits with their descriptors, or everything that is wrong with them.
func (c Config) open(limits []ratelimit.Limit) ([]limit, error) {
	var errs []error
	if c.Domain == "" || !utf8.ValidString(c.Domain) {
		errs = append(errs, fmt.Errorf("the Domain is %.100q; want that of the limits, such as \"shop\"", c.Domain))
	}
	if n := len(c.Descriptors); n > 0 && n != len(limits) {
		errs = append(errs, fmt.Errorf("the Descriptors are %d; want one for each of the %d limits, or none",
			n, len(limits)))
		return nil, errors.Join(errs...)
	}
	opened := make([]limit, len(limits))
	used := make(map[string]string)
	for i := range limits {
		var d Descriptor
		if c.Descriptors != nil {
			d = c.Descriptors[i]
		}
		l := newLimit(limits[i], d)
		err := l.check(used)
		if !c.ServerLimits {
			var unfit error
			l.override, unfit = overrideOf(limits[i])
			err = errors.Join(err, unfit)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %d (by %.100q): %w", i+1, limits[i].Name, err))
		}
		opened[i] = l
	}
	return opened, errors.Join(errs...)
}

// idKey is the key of the entry with the ID of a limit.
const idKey = "limit"

// newLimit returns a limit with the defaults of its descriptor.
func newLimit(l ratelimit.Limit, d Descriptor) limit {
	key, peer := l.Name, l.Name+"_peer"
	if l.Name == "peer" || l.Name == "network" {
		key, peer = l.Name+"_key", l.Name
	}
	opened := limit{Limit: l, key: d.Key, peerKey: d.PeerKey}
	if l.ID != "" {
		opened.entries = append(opened.entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: idKey, Value: l.ID})
	}
	if opened.key == "" {
		opened.key = key
	}
	if opened.peerKey == "" {
		opened.peerKey = peer
	}
	for _, e := range d.Entries {
		opened.entries = append(opened.entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: e.Key, Value: e.Value})
	}
	return opened
}

// check returns what is wrong with the descriptors of a limit. used has those of the limits before.
func (l *limit) check(used map[string]string) error {
	var errs []error
	var before strings.Builder
	for _, e := range l.entries {
		if e.GetKey() == "" || !utf8.ValidString(e.GetKey()) || !utf8.ValidString(e.GetValue()) {
			errs = append(errs, fmt.Errorf("the entry %.100q: %.100q has no key or is not UTF-8",
				e.GetKey(), e.GetValue()))
		}
		fmt.Fprintf(&before, "%q: %q, ", e.GetKey(), e.GetValue())
	}
	path := before.String()
	for _, key := range []string{l.key, l.peerKey} {
		if !utf8.ValidString(key) {
			errs = append(errs, fmt.Errorf("the key %.100q is not UTF-8", key))
		}
		if _, twice := used[path+key]; twice {
			errs = append(errs, fmt.Errorf("the descriptor %s%q is used twice, so that limits would share a quota; "+
				"set Descriptors with different keys", path, key))
		}
		used[path+key] = key
	}
	return errors.Join(errs...)
}

// units are the units of time that a limit can have in a request, the longest first.
var units = []struct { //nolint:gochecknoglobals // never written
	length time.Duration
	unit   typev3.RateLimitUnit
}{
	{24 * time.Hour, typev3.RateLimitUnit_DAY},
	{time.Hour, typev3.RateLimitUnit_HOUR},
	{time.Minute, typev3.RateLimitUnit_MINUTE},
	{time.Second, typev3.RateLimitUnit_SECOND},
}

// overrideOf returns the limit as a request carries it.
func overrideOf(l ratelimit.Limit) (*ratelimitv3.RateLimitDescriptor_RateLimitOverride, error) {
	if uint64(l.Permits) > math.MaxUint32 {
		return nil, fmt.Errorf("the limit of %d does not fit into RLS; want at most %d, or ServerLimits",
			l.Permits, uint32(math.MaxUint32))
	}
	if l.Burst != l.Permits {
		return nil, fmt.Errorf("the burst is %d, which RLS does not have; want none, or ServerLimits", l.Burst)
	}
	for _, u := range units {
		if l.Per%u.length != 0 || l.Per/u.length > math.MaxUint32 {
			continue
		}
		o := &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: uint32(l.Permits), Unit: u.unit}
		if n := l.Per / u.length; n > 1 {
			o.UnitMultiplier = wrapperspb.UInt32(uint32(n))
		}
		return o, nil
	}
	return nil, fmt.Errorf("the period of %v does not fit into RLS; want whole seconds, minutes, hours or days, "+
		"or ServerLimits", l.Per)
}
