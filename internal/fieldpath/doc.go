// Package fieldpath finds fields of Protocol Buffers messages by paths such as "repository.storage_name".
//
// A path is checked against the descriptor of a message type once ([Path.Resolve]), which explains what is
// wrong with it. The result ([Field]) reads messages of that type. [Reader] does both for messages of any
// type, and remembers the types.
//
// Fields are named as in the .proto file. A path leads through messages and groups, also those that contain
// themselves, and ends at a single string, number, bool or enum. It does not lead through repeated fields
// and maps, which have many values, through google.protobuf.Any, whose type is known at run time only, and
// through extensions.
package fieldpath
