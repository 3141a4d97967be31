package grpctransport

import (
	"fmt"

	"google.golang.org/grpc/mem"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// codec passes messages unchanged. grpc-go frees the result of Marshal and the argument of
// Unmarshal, so both functions take a reference.
type codec struct{}

// Name is empty, because grpc-go would add the name to the content type of every request.
// grpc.CallContentSubtype sets the content subtype of a call.
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
