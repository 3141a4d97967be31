package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxMethods is the largest number of methods that are learned. It also bounds the names that
// interceptors keep.
const maxMethods = 1000

// ofMethod reports whether a code shows that the upstream has a method. Libraries of gRPC never make these codes, by
// doc/statuscodes.md of gRPC. Other codes are no evidence: transports make them, and an upstream that authenticates
// calls rejects those of methods that it does not have, whose names callers can invent.
func ofMethod(code codes.Code) bool {
	switch code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted,
		codes.OutOfRange, codes.DataLoss:
		return true
	default:
		return false
	}
}

// methods has the names of the methods that the upstream is known to have: those that were set, and those that
// it has answered with a message or with a code of [ofMethod].
type methods struct {
	mu      sync.Mutex                          // held by learn and set
	names   atomic.Pointer[map[string]struct{}] // replaced by them, never modified
	learned []string                            // guarded by mu
}

func (m *methods) known(name string) bool {
	names := m.names.Load()
	if names == nil {
		return false
	}
	_, ok := (*names)[name]
	return ok
}

func (m *methods) learn(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known(name) || len(m.learned) >= maxMethods {
		return
	}
	m.learned = append(m.learned, name)
	names := make(map[string]struct{})
	if old := m.names.Load(); old != nil {
		names = maps.Clone(*old)
	}
	names[name] = struct{}{}
	m.names.Store(&names)
}

// set replaces the names that were set before.
func (m *methods) set(all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]struct{}, len(all)+len(m.learned))
	for _, name := range slices.Concat(all, m.learned) {
		names[name] = struct{}{}
	}
	m.names.Store(&names)
}

// SetMethods replaces [Config.Methods], such as after the upstream has restarted. Methods that were learned from
// answers remain known. It returns an error for names that no call has, and then changes nothing.
func (g *Gateway) SetMethods(names ...string) error {
	if err := checkMethods(names); err != nil {
		return err
	}
	g.methods.set(names)
	return nil
}

// checkMethods returns an error for names that no call has.
func checkMethods(names []string) error {
	for _, name := range names {
		service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		if !ok || service == "" || method == "" || name[0] != '/' {
			return fmt.Errorf("gateway: Methods has %.100q; want a name such as %q", name, "/shop.v1.Cart/Get")
		}
	}
	return nil
}

// known is the implementation that the chain sees of a method that the upstream has, if messages are not decoded.
type known struct{}

// MethodDescriptor returns nil.
func (known) MethodDescriptor() protoreflect.MethodDescriptor { return nil }

// Known returns true.
func (known) Known() bool { return true }

// NewRequest returns an error.
func (known) NewRequest() (any, error) {
	return nil, status.Error(codes.Internal, "gateway: an interceptor reads a message that is not decoded")
}
