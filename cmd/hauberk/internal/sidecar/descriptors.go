package sidecar

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk/policy/descriptorset"
)

// descriptors are the services of the upstream: those of a file, and then those that reflection has returned last.
// It implements policy.Types. It is safe for concurrent use.
type descriptors struct {
	set    atomic.Pointer[descriptorset.Set] // nil if the services are not known
	wanted chan struct{}                     // a call has a method that set does not have; nil without reflection
}

// readDescriptors reads the descriptors of the upstream's services, if there is a file.
func (s *sidecar) readDescriptors() error {
	if s.reflection {
		s.upstreamHas.wanted = make(chan struct{}, 1)
	}
	if s.descriptorsFile == "" {
		return nil
	}
	set, err := descriptorset.Read(s.descriptorsFile)
	if err != nil {
		return fmt.Errorf("--descriptors: %w", err)
	}
	s.upstreamHas.set.Store(set)
	return nil
}

// services returns the services, or nil if they are not known.
func (d *descriptors) services() []protoreflect.ServiceDescriptor {
	if set := d.set.Load(); set != nil {
		return set.Services()
	}
	return nil
}

// method returns the descriptor of a method, or nil. known reports whether there are descriptors at all.
func (d *descriptors) method(name string) (m protoreflect.MethodDescriptor, known bool) {
	set := d.set.Load()
	if set != nil {
		m = set.Method(name)
	}
	if m == nil && strings.HasPrefix(name, "/grpc.") { // those of gRPC itself, such as health, are not in files
		full := strings.Replace(strings.TrimPrefix(name, "/"), "/", ".", 1)
		found, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(full))
		m, _ = found.(protoreflect.MethodDescriptor)
	}
	return m, set != nil
}

// want makes reflection ask again soon.
func (d *descriptors) want() {
	if d.wanted == nil {
		return
	}
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

// The times between two requests of reflection: after an answer, and after failures. A call of a method that has no
// descriptor shortens them to reflectSoon.
const (
	reflectEvery   = time.Minute
	reflectTimeout = 10 * time.Second
	reflectSoon    = time.Second
	reflectSeldom  = 15 * time.Second
)

// reflect asks the upstream for its services, again and again, until ctx is done. The last answer remains in force
// while the upstream does not answer. changed is called after each answer that differs from the one before.
func (d *descriptors) reflect(
	ctx context.Context, conn grpc.ClientConnInterface, changed func(*descriptorset.Set), failed func(error),
) {
	said, delay := "", reflectSoon
	for {
		wait := reflectEvery
		set, err := reflectOnce(ctx, conn)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if err.Error() != said {
				failed(err)
			}
			said, wait, delay = err.Error(), delay, min(2*delay, reflectSeldom)
		default:
			said, delay = "", reflectSoon
			if old := d.set.Load(); old == nil || !old.Equal(set) {
				d.set.Store(set)
				changed(set)
			}
		}
		if !d.pause(ctx, wait) {
			return
		}
	}
}

func reflectOnce(ctx context.Context, conn grpc.ClientConnInterface) (*descriptorset.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, reflectTimeout)
	defer cancel()
	return descriptorset.Reflect(ctx, conn)
}

// pause waits, for a shorter time if a call wants a descriptor. It returns false if ctx is done.
func (d *descriptors) pause(ctx context.Context, wait time.Duration) bool {
	least := time.NewTimer(min(wait, reflectSoon))
	defer least.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-least.C:
	}
	rest := time.NewTimer(max(wait-reflectSoon, 0))
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rest.C:
	case <-d.wanted:
	}
	return true
}

// startReflection asks the upstream for its services, if that is configured, until the function that it returns is
// called.
func (s *sidecar) startReflection() (stop func()) {
	if !s.reflection {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.upstreamHas.reflect(ctx, s.gateway.UpstreamConn(), s.reflected, func(err error) {
			s.sayf("reflection of the upstream failed, and is tried again: %v", err)
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}

// reflected reports that the upstream has other services than before.
func (s *sidecar) reflected(set *descriptorset.Set) {
	names := methodsOf(set.Services())
	if err := s.gateway.SetMethods(names...); err != nil {
		s.sayf("reflection: %v", err)
	}
	s.sayf("the upstream has %d services with %d methods", len(set.Services()), len(names))
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

// The types of messages, for policy.WithTypes.

func (d *descriptors) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if set := d.set.Load(); set != nil {
		if t, err := set.Types().FindMessageByName(name); err == nil {
			return t, nil
		}
	}
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

func (d *descriptors) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return d.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

func (d *descriptors) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if set := d.set.Load(); set != nil {
		if t, err := set.Types().FindExtensionByName(name); err == nil {
			return t, nil
		}
	}
	return protoregistry.GlobalTypes.FindExtensionByName(name)
}

func (d *descriptors) FindExtensionByNumber(
	message protoreflect.FullName, number protoreflect.FieldNumber,
) (protoreflect.ExtensionType, error) {
	if set := d.set.Load(); set != nil {
		if t, err := set.Types().FindExtensionByNumber(message, number); err == nil {
			return t, nil
		}
	}
	return protoregistry.GlobalTypes.FindExtensionByNumber(message, number)
}
