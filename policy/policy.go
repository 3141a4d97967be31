package policy

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
)

// MaxSize is the size of the largest file, in bytes.
const MaxSize = yamlfile.MaxSize

// MaxDepth is the greatest number of values inside each other in a file.
const MaxDepth = 64

// MaxEntries is the greatest number of entries of a chain.
const MaxEntries = 1000

// Policy is what a file describes. Make it with [Load] or [Parse]. It never changes and is safe for concurrent
// use.
type Policy struct {
	name           string
	server, client *hauberk.Chain
	gateway        *Gateway
	entries        []Entry
	settings       []Setting // keys outside of entries, with those of gateway
	files          []string
	inputs         []string             // files without those that interceptors write
	auditFiles     *catalog.AuditFiles  // also of the policies before
	keyMemories    *catalog.KeyMemories // also of the policies before
	*held
}

// held is what a policy has to release.
type held struct {
	instances []*instance // by entry; nil for those that are off

	mu     sync.Mutex
	closed bool
}

// Load reads the file with a path. It must be a regular file. See [Parse].
func Load(path string, opts ...Option) (*Policy, error) {
	data, err := yamlfile.Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, opts...)
}

// Parse reads a policy. name is the name of the file, for errors and for the folder that other names are relative to.
// The error lists everything that is wrong, a line each.
//
// What the policy opens, such as audit files and connections, is released by [Policy.Close].
func Parse(name string, data []byte, opts ...Option) (*Policy, error) {
	s := newSettings(opts)
	if s.dir == "" {
		s.dir = filepath.Dir(name)
	}
	r := newReader(s, catalog.New(), name, data)
	r.read()
	r.hideSecrets()
	if err := r.file.Err(); err != nil {
		r.release()
		return nil, err
	}
	if s.check != nil {
		if err := s.check(r.policy); err != nil {
			return nil, errors.Join(err, r.policy.Close())
		}
	}
	return r.policy, nil
}

// Name returns the name of the file.
func (p *Policy) Name() string { return p.name }

// Server returns the chain for incoming calls. It is empty if the file has no server.
func (p *Policy) Server() *hauberk.Chain { return p.server }

// Client returns the chain for outgoing calls. It is empty if the file has no client.
func (p *Policy) Client() *hauberk.Chain { return p.client }

// Gateway returns the section gateway, or nil if the file has none. It must not be modified.
func (p *Policy) Gateway() *Gateway { return p.gateway }

// Entries returns the entries, first those of the server. They must not be modified.
func (p *Policy) Entries() []Entry { return slices.Clone(p.entries) }

// Files returns the files that the policy names, each once: certificates, keys, secrets.
func (p *Policy) Files() []string { return slices.Clone(p.files) }

// Close releases what the interceptors hold, except for those that another policy has kept. The chains must not be
// in use any more. Further calls do nothing.
func (p *Policy) Close() error { return p.release() }

// release is Close.
func (h *held) release() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	var failed []error
	for _, i := range h.instances {
		failed = append(failed, i.release())
	}
	return errors.Join(failed...)
}
