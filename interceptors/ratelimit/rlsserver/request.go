package rlsserver

import (
	"math"
	"strconv"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// The limits of a request.
const (
	maxDescriptors = 64
	maxHits        = math.MaxInt32
)

// question is a descriptor of a request.
type question struct {
	entries []entry
	hits    int          // negative hits are given back
	limit   *quota.Limit // that the descriptor carries, without an algorithm
}

// malformed returns the status of a request that is not valid.
func malformed(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// parse returns the descriptors of a request.
func parse(req *rlsv3.RateLimitRequest) ([]question, error) {
	descriptors := req.GetDescriptors()
	switch {
	case req.GetDomain() == "":
		return nil, malformed("the domain is empty")
	case len(descriptors) == 0:
		return nil, malformed("there are no descriptors")
	case len(descriptors) > maxDescriptors:
		return nil, malformed("there are %d descriptors; want at most %d", len(descriptors), maxDescriptors)
	}
	asked := make([]question, len(descriptors))
	for i, d := range descriptors {
		q, err := parseDescriptor(d, uint64(max(req.GetHitsAddend(), 1)))
		if err != nil {
			return nil, malformed("descriptor %d: %s", i+1, err)
		}
		asked[i] = q
	}
	return asked, nil
}

// flaw is what is wrong with a descriptor.
type flaw string

func (f flaw) Error() string { return string(f) }

// parseDescriptor returns a descriptor of a request with these hits by default.
func parseDescriptor(d *ratelimitv3.RateLimitDescriptor, hits uint64) (q question, err error) {
	if n := len(d.GetEntries()); n == 0 || n > maxDepth {
		return q, flaw("it has " + strconv.Itoa(n) + " entries; want 1 to " + strconv.Itoa(maxDepth))
	}
	q.entries = make([]entry, len(d.GetEntries()))
	for i, e := range d.GetEntries() {
		if e.GetKey() == "" {
			return q, flaw("an entry has no key")
		}
		q.entries[i] = entry{e.GetKey(), e.GetValue()}
	}
	if d.GetHitsAddend() != nil {
		hits = d.GetHitsAddend().GetValue()
	}
	if hits > maxHits {
		return q, flaw("it adds " + strconv.FormatUint(hits, 10) + " hits; want at most " + strconv.Itoa(maxHits))
	}
	if q.hits = int(hits); d.GetIsNegativeHits() {
		q.hits = -q.hits
	}
	if o := d.GetLimit(); o != nil {
		if q.limit, err = limitOf(o); err != nil {
			return q, err
		}
	}
	return q, nil
}

const day = 24 * time.Hour

// lengths are those of the units of limits that requests carry.
var lengths = map[typev3.RateLimitUnit]time.Duration{ //nolint:gochecknoglobals // never written
	typev3.RateLimitUnit_SECOND: time.Second,
	typev3.RateLimitUnit_MINUTE: time.Minute,
	typev3.RateLimitUnit_HOUR:   time.Hour,
	typev3.RateLimitUnit_DAY:    day,
	typev3.RateLimitUnit_MONTH:  30 * day,
	typev3.RateLimitUnit_YEAR:   365 * day,
}

// maxPer is the longest period.
const maxPer time.Duration = 1 << 61

// limitOf returns the limit that a descriptor carries.
func limitOf(o *ratelimitv3.RateLimitDescriptor_RateLimitOverride) (*quota.Limit, error) {
	per := lengths[o.GetUnit()]
	if per == 0 {
		return nil, flaw("its limit has the unit " + o.GetUnit().String())
	}
	if n := o.GetUnitMultiplier(); n != nil {
		if n.GetValue() == 0 || time.Duration(n.GetValue()) > maxPer/per {
			return nil, flaw("its limit has the unit_multiplier " + strconv.FormatUint(uint64(n.GetValue()), 10))
		}
		per *= time.Duration(n.GetValue())
	}
	permits := int(o.GetRequestsPerUnit())
	return &quota.Limit{Permits: permits, Per: per, Burst: permits}, nil
}

// appendKey appends the values of a descriptor to the key of a quota, and its keys if wanted, so that
// different descriptors have different keys.
func appendKey(key []byte, entries []entry, keys bool) []byte {
	for _, e := range entries {
		if keys {
			key = appendText(key, e.key)
		}
		key = appendText(key, e.value)
	}
	return key
}

func appendText(key []byte, text string) []byte {
	return append(append(strconv.AppendInt(key, int64(len(text)), 10), ':'), text...)
}
