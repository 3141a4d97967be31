// Package protomessage recognizes messages of protobuf, as the codec of grpc-go does.
package protomessage

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Of returns a message as one of the current API of protobuf: also one of the first API, such as those of
// gogo/protobuf. It returns nil and false for other values.
func Of(msg any) (m proto.Message, ok bool) {
	switch msg := msg.(type) {
	case proto.Message:
		return msg, true
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(msg), true
	default:
		return nil, false
	}
}
