package compare

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// Check checks each message that a call receives, of any kind, on servers and clients.
func Check(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.OnReceive(func(msg any) (keep bool, err error) { return true, check(msg) })
	return next(ctx, call)
}

const maxBytes = 1000

func check(msg any) error {
	if m, ok := msg.(proto.Message); ok && proto.Size(m) > maxBytes {
		return hauberk.Reject(codes.InvalidArgument, "MESSAGE_TOO_LARGE", "a message may have 1000 bytes")
	}
	return nil
}
