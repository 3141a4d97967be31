package descriptorset

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// MaxSize is the size of the largest set, in bytes.
const MaxSize = 64 << 20

// Set is the descriptors of services. Make it with [Read], [Parse] or [Reflect]. It never changes and is safe for
// concurrent use.
type Set struct {
	sources  []*descriptorpb.FileDescriptorProto // sorted by name
	files    *protoregistry.Files
	types    *dynamicpb.Types
	services []protoreflect.ServiceDescriptor
}

// Read reads a file with a google.protobuf.FileDescriptorSet, as `buf build -o FILE` and `protoc --include_imports
// --descriptor_set_out=FILE` write it.
func Read(path string) (*Set, error) {
	info, err := os.Stat(path) // before it is opened, which waits for the writer of a named pipe
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > MaxSize:
		return nil, fmt.Errorf("%s has %d bytes; want at most %d", path, info.Size(), MaxSize)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}

// Parse reads an encoded google.protobuf.FileDescriptorSet. It must have all files that its files import, and at
// least one service.
func Parse(data []byte) (*Set, error) {
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &files); err != nil || len(files.GetFile()) == 0 {
		return nil, errors.New("it is not a set of descriptors; want the output of buf build -o, " +
			"or of protoc --include_imports --descriptor_set_out")
	}
	return newSet(&files, nil)
}

// newSet returns the services of files: those with names, or all if served is nil.
func newSet(files *descriptorpb.FileDescriptorSet, served []string) (*Set, error) {
	registry, err := protodesc.NewFiles(files)
	if err != nil {
		return nil, fmt.Errorf("the descriptors are not complete: %w", err)
	}
	s := &Set{sources: slices.Clone(files.GetFile()), files: registry, types: dynamicpb.NewTypes(registry)}
	slices.SortFunc(s.sources, func(a, b *descriptorpb.FileDescriptorProto) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
	for f := range registry.RangeFiles {
		for i := range f.Services().Len() {
			of := f.Services().Get(i)
			if served == nil || slices.Contains(served, string(of.FullName())) {
				s.services = append(s.services, of)
			}
		}
	}
	if len(s.services) == 0 {
		return nil, errors.New("the descriptors have no service")
	}
	slices.SortFunc(s.services, func(a, b protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return s, nil
}

// Services returns the services, sorted by name.
func (s *Set) Services() []protoreflect.ServiceDescriptor { return slices.Clone(s.services) }

// Equal reports whether the services and files of two sets are equal.
func (s *Set) Equal(other *Set) bool {
	same := func(a, b *descriptorpb.FileDescriptorProto) bool { return proto.Equal(a, b) }
	name := func(a, b protoreflect.ServiceDescriptor) bool { return a.FullName() == b.FullName() }
	return slices.EqualFunc(s.services, other.services, name) && slices.EqualFunc(s.sources, other.sources, same)
}

// Types returns the types of messages.
func (s *Set) Types() *dynamicpb.Types { return s.types }

// Method returns the descriptor of a method such as "shop.v1.Cart/Get", or nil. A leading slash is optional.
func (s *Set) Method(name string) protoreflect.MethodDescriptor {
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	if of, ok := d.(protoreflect.ServiceDescriptor); ok {
		return of.Methods().ByName(protoreflect.Name(method))
	}
	return nil
}
