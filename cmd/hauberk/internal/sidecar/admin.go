package sidecar

import (
	"net"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/admin"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// serveAdmin serves the admin listener. It returns nil if the address is nil.
func (s *sidecar) serveAdmin(at *net.TCPAddr) (*admin.Server, error) {
	started := time.Now().UTC()
	return admin.Listen(at, s.options.admin, admin.Sources{
		Config: func() any { return s.inForce(started) },
		Calls:  s.rejected,
		Reload: func() (any, bool) {
			if s.policy.file == nil {
				return map[string]string{"error": "there is no policy file; want --config"}, false
			}
			err := s.reload()
			return s.inForce(started), err == nil
		},
		Failed: func(err error) {
			if err != nil {
				s.sayf("--admin-token-file: the last good token remains in use: %v", err)
			} else {
				s.sayf("--admin-token-file: the file is good again")
			}
		},
	})
}

// inForce is the answer of /config.
type inForce struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Upstream string    `json:"upstream"`
	Flags    []string  `json:"flags,omitempty"` // that take precedence over keys
	Policy   *loaded   `json:"policy,omitempty"`
}

// loaded is a policy file, with the chains in force.
type loaded struct {
	File     string               `json:"file"`
	Hash     string               `json:"hash"`
	Since    time.Time            `json:"since"`
	Loads    int64                `json:"loads"`
	Failures int64                `json:"failures"`
	Problems []policyfile.Problem `json:"problems,omitempty"` // of the file as it is now; none if it is in force
	FailedAt *time.Time           `json:"failed_at,omitempty"`
	Gateway  []setting            `json:"gateway,omitempty"`
	Server   []entry              `json:"server"`
	Client   []entry              `json:"client"`
}

type setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Line  int    `json:"line"`
}

type entry struct {
	Use      string    `json:"use"`
	ID       string    `json:"id,omitempty"`
	Line     int       `json:"line"`
	Mode     string    `json:"mode"`
	Methods  []string  `json:"methods,omitempty"`
	Except   []string  `json:"except,omitempty"`
	Settings []setting `json:"settings,omitempty"`
}

// inForce returns what is in force. Values of references and passwords are hidden, as in all settings of a policy.
func (s *sidecar) inForce(started time.Time) inForce {
	answer := inForce{Version: s.version, Started: started, Upstream: s.upstream, Flags: s.from}
	if s.policy.file == nil {
		return answer
	}
	state, p := s.policy.file.State(), s.policy.file.Policy()
	answer.Policy = &loaded{
		File: state.Path, Hash: state.Hash, Since: state.Since.UTC(), Loads: state.Loads, Failures: state.Failures,
		Problems: policyfile.Problems(state.Err), Gateway: settings(p.Gateway().Settings()),
		Server: []entry{}, Client: []entry{},
	}
	if state.Err != nil {
		at := state.FailedAt.UTC()
		answer.Policy.FailedAt = &at
	}
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		side := &answer.Policy.Server
		if e.Side == hauberk.ClientSide {
			side = &answer.Policy.Client
		}
		*side = append(*side, entry{
			Use: e.Use, ID: e.ID, Line: e.Line, Mode: e.Mode.String(), Methods: e.Methods, Except: e.Except,
			Settings: settings(e.Settings),
		})
	}
	return answer
}

func settings(of []policyfile.Setting) (all []setting) {
	for _, s := range of {
		all = append(all, setting(s))
	}
	return all
}

// endAdmin closes the admin listener.
func (s *sidecar) endAdmin() {
	if s.admin == nil {
		return
	}
	if err := s.admin.Close(); err != nil {
		s.sayf("%v", err)
	}
}
