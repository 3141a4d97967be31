// Package protooption reads custom options of descriptors.
package protooption

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Get returns the value of an extension of the options of a descriptor, and the zero value of its type if it is not
// set. into is an empty message of the type of the options. Options of descriptors that were not made by generated
// code hold the extension as unknown fields, or as a message of another Go type, so that they are decoded again.
func Get(options, into proto.Message, extension protoreflect.ExtensionType) (any, error) {
	encoded, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err == nil {
		err = proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(encoded, into)
	}
	if err != nil {
		return nil, fmt.Errorf("the options cannot be decoded: %w", err)
	}
	return proto.GetExtension(into, extension), nil
}
