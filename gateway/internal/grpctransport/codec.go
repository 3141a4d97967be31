package grpctransport

import (
	"fmt"

	"google.golang.org/grpc/mem"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// codec passes messages through as they are. grpc-go frees what Marshal returns
// and what it gives to Unmarshal, so that both take a reference of their own.
type codec struct{}

// Name is empty: with a name, grpc-go would put it into the content type of every
// request. A call's own subtype is set with grpc.CallContentSubtype.
func (codec) Name() string { return "" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	msg, ok := v.(*transport.Message)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be forwarded; want a *transport.Message", v)
	}
	msg.Data.Ref()
	return msg.Data, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	msg, ok := v.(*transport.Message)
	if !ok {
		return fmt.Errorf("a %T cannot be forwarded into; want a *transport.Message", v)
	}
	msg.Free()
	data.Ref()
	msg.Data = data
	return nil
}
