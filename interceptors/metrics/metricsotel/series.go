package metricsotel

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// The attributes, by the names of gRFC A66.
const (
	methodKey = attribute.Key("grpc.method")
	targetKey = attribute.Key("grpc.target")
	statusKey = attribute.Key("grpc.status")
)

// numCodes is the number of status codes that gRPC defines, from OK (0) to UNAUTHENTICATED (16).
const numCodes = int(codes.Unauthenticated) + 1

// series contains the options for recording with one pair of grpc.method and grpc.target, without
// and with each status. The attribute sets and the slices of options are made once: a new slice
// for a call through an interface would escape to the heap.
type series struct {
	attributes []attribute.KeyValue
	add        []metric.AddOption
	record     []metric.RecordOption
	outcomes   [numCodes]atomic.Pointer[[]metric.RecordOption]
}

func newSeries(side hauberk.Side, method, target string) *series {
	s := &series{attributes: []attribute.KeyValue{methodKey.String(method)}}
	if side == hauberk.ClientSide {
		s.attributes = append(s.attributes, targetKey.String(target))
	}
	option := metric.WithAttributeSet(attribute.NewSet(s.attributes...))
	s.add, s.record = []metric.AddOption{option}, []metric.RecordOption{option}
	return s
}

// ended returns the options for an outcome with a code. A code that gRPC does not define counts as
// Unknown, as gRPC specifies.
func (s *series) ended(c codes.Code) []metric.RecordOption {
	if int(c) >= numCodes {
		c = codes.Unknown
	}
	if options := s.outcomes[c].Load(); options != nil {
		return *options
	}
	all := make([]attribute.KeyValue, 0, len(s.attributes)+1)
	all = append(append(all, s.attributes...), statusKey.String(code.Code_name[int32(c)]))
	options := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(all...))}
	s.outcomes[c].Store(&options) // concurrent stores are equal
	return options
}
