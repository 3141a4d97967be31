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

// numCodes is how many status codes gRPC defines: OK, 0, to UNAUTHENTICATED, 16.
const numCodes = int(codes.Unauthenticated) + 1

// series holds what measurements are recorded with: one pair of grpc.method and
// grpc.target, and that pair with each status. The sets of attributes are made
// once, and the slices of options too, since a call through an interface would put
// a new one on the heap.
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

// ended returns the options for what has ended with a code. One that gRPC does not
// define is Unknown, as gRPC says.
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
	s.outcomes[c].Store(&options) // of several at once the last: they are equal
	return options
}
