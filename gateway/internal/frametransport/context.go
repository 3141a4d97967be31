package frametransport

import (
	"context"
	"reflect"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// contextKeys are grpc-go's keys of what the context of a call has. They are not exported.
// With them one value has all of it, and metadata can be read without a copy.
type contextKeys struct{ metadata, stream any }

// newContextKeys asks grpc-go for values, and keeps the keys that it uses.
func newContextKeys() contextKeys {
	spy := &spyContext{Context: context.Background()}
	_, _ = metadata.FromIncomingContext(spy)
	keys := contextKeys{metadata: spy.key}
	_ = grpc.ServerTransportStreamFromContext(spy)
	keys.stream = spy.key
	return keys
}

// spyContext keeps the last key of Value.
type spyContext struct {
	context.Context //nolint:containedctx // Value is replaced

	key any
}

func (s *spyContext) Value(key any) any {
	s.key = key
	return nil
}

// callContext is the context of a connection with the metadata and the stream of a call.
type callContext struct {
	context.Context //nolint:containedctx // Value is replaced

	keys *contextKeys
	in   *inbound
	md   metadata.MD
}

func (c *callContext) Value(key any) any {
	switch key {
	case c.keys.metadata:
		return c.md
	case c.keys.stream:
		return callStream{c.in}
	default:
		return c.Context.Value(key)
	}
}

// Fields is [transport.Inbound.Fields].
func (in *inbound) Fields(ctx context.Context) []hpack.HeaderField {
	md, ok := ctx.Value(in.base.keys.metadata).(metadata.MD)
	if !ok || reflect.ValueOf(md).Pointer() != reflect.ValueOf(in.base.md).Pointer() {
		return nil
	}
	fields := in.fields
	in.fields = nil // they are needed once
	return fields
}
