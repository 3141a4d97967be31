// Package compare has one interceptor twice: for grpc-go, and for Hauberk.
package compare

import (
	"context"

	"google.golang.org/grpc"
)

// unaryServer, streamServer and checkedStream check the requests of calls on servers.

func unaryServer(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func streamServer(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, checkedStream{ss})
}

type checkedStream struct{ grpc.ServerStream }

func (s checkedStream) RecvMsg(msg any) error {
	if err := s.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	return check(msg)
}
