package sidecar

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/policy/descriptorset"
)

// readDescriptors reads the descriptors of the upstream's services, if there is a file.
func (s *sidecar) readDescriptors() error {
	if s.descriptors == "" {
		return nil
	}
	set, err := descriptorset.Read(s.descriptors)
	if err != nil {
		return fmt.Errorf("--descriptors: %w", err)
	}
	s.services = set.Services()
	return nil
}

// methodsOf returns the names of the methods of services: "/shop.v1.Cart/Get".
func methodsOf(services []protoreflect.ServiceDescriptor) (names []string) {
	for _, service := range services {
		methods := service.Methods()
		for i := range methods.Len() {
			names = append(names, fmt.Sprintf("/%s/%s", service.FullName(), methods.Get(i).Name()))
		}
	}
	return names
}
