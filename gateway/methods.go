package gateway

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
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

// methods has the names of the methods that the upstream is known to have: those of the configuration, and those that
// it has answered with a message or with a code of [ofMethod].
type methods struct {
	mu      sync.Mutex                          // held by learn and add
	names   atomic.Pointer[map[string]struct{}] // replaced by them, never modified
	learned int                                 // the number of names that are not of the configuration; guarded by mu
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
	if m.known(name) || m.learned >= maxMethods {
		return
	}
	m.learned++
	m.addLocked(name)
}

// add adds names of the configuration.
func (m *methods) add(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(names...)
}

func (m *methods) addLocked(added ...string) {
	names := make(map[string]struct{})
	if old := m.names.Load(); old != nil {
		names = maps.Clone(*old)
	}
	for _, name := range added {
		names[name] = struct{}{}
	}
	m.names.Store(&names)
}

// checkMethods returns an error for names that no call has.
func (c Config) checkMethods() error {
	for _, name := range c.Methods {
		service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		if !ok || service == "" || method == "" || name[0] != '/' {
			return fmt.Errorf("gateway: Methods has %.100q; want a name such as %q", name, "/shop.v1.Cart/Get")
		}
	}
	return nil
}
