package logging

import (
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// DefaultLevel returns the level of a call, which is that of go-grpc-middleware's
// logging. A server's calls are ERROR if the server is at fault, WARN if the server or
// its limits may be, and otherwise INFO. A client's calls are one or two levels lower,
// because the application receives the outcome as well.
func DefaultLevel(side hauberk.Side, code codes.Code) slog.Level {
	if side == hauberk.ClientSide {
		return clientLevel(code)
	}
	return serverLevel(code)
}

func levelBySide(call *hauberk.Call, code codes.Code) slog.Level {
	return DefaultLevel(call.Side(), code)
}

func serverLevel(code codes.Code) slog.Level {
	switch code {
	case codes.OK, codes.NotFound, codes.Canceled, codes.AlreadyExists, codes.InvalidArgument, codes.Unauthenticated:
		return slog.LevelInfo
	case codes.DeadlineExceeded, codes.PermissionDenied, codes.ResourceExhausted, codes.FailedPrecondition,
		codes.Aborted, codes.OutOfRange, codes.Unavailable:
		return slog.LevelWarn
	default: // Unknown, Unimplemented, Internal, DataLoss, and codes that gRPC does not define
		return slog.LevelError
	}
}

func clientLevel(code codes.Code) slog.Level {
	switch code {
	case codes.OK, codes.Canceled, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists,
		codes.ResourceExhausted, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return slog.LevelDebug
	case codes.Unknown, codes.DeadlineExceeded, codes.PermissionDenied, codes.Unauthenticated:
		return slog.LevelInfo
	default: // Unimplemented, Internal, Unavailable, DataLoss, and codes that gRPC does not define
		return slog.LevelWarn
	}
}
