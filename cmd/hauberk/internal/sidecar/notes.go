package sidecar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hauberk-rpc/hauberk"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// notes returns what an operator should know about a policy in a sidecar: a line for each entry that does less there
// than in the chain of the service. described reports whether there are, or will be, descriptors of the upstream's
// services.
func notes(p *policyfile.Policy, described bool) (all []string) {
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		if e.Mode == policyfile.Off {
			continue
		}
		if what := lessOf(e, described); what != "" {
			all = append(all, fmt.Sprintf("%s:%d: %s", p.Name(), e.Line, what))
		}
	}
	return all
}

// lessOf returns what an entry does less in a sidecar, or "".
func lessOf(e *policyfile.Entry, described bool) string {
	switch e.Use {
	case "retry":
		switch {
		case !has(e, "max_replay_bytes"):
			return "retry repeats no calls in a sidecar without max_replay_bytes, since it does not know which " +
				"methods have streams"
		case len(e.Methods) == 0 && !has(e, "all_methods"):
			return "retry repeats no calls in a sidecar without methods or all_methods, since it does not know which " +
				"methods are idempotent"
		}
	case "hedge":
		return "hedge makes no further attempts in a sidecar, since it does not know which methods have one request"
	}
	if described || e.Side == hauberk.ClientSide {
		return ""
	}
	switch setting := ofUnknown[e.Use]; {
	case setting == "" || has(e, setting) || byPeer(e):
		return ""
	case e.Use == "version":
		return "version does not gate methods that the upstream has not answered yet; want gate_unknown: true, or " +
			"--descriptors"
	default:
		return e.Use + " does not limit methods that the upstream has not answered yet; want " + setting +
			": true, or --descriptors"
	}
}

// ofUnknown are the settings by which interceptors act on calls of methods that the sidecar does not know.
//
//nolint:gochecknoglobals // never written
var ofUnknown = map[string]string{
	"version": "gate_unknown", "concurrency": "limit_unknown", "rate_limit": "charge_unknown",
}

// byPeer reports whether an entry limits calls by peer, which includes those of unknown methods.
func byPeer(e *policyfile.Entry) bool {
	return slices.ContainsFunc(e.Settings, func(s policyfile.Setting) bool {
		return s.Key == "by" && s.Value == "peer" || strings.HasPrefix(s.Key, "by.network")
	})
}

// Notes returns what an operator should know about a policy before a sidecar runs it: "line 12: ". That includes
// entries with which the sidecar does not start.
func Notes(p *policyfile.Policy) (all []string) {
	described := describes(p.Gateway())
	lines := notes(p, described)
	if err := checkMessages(p); err != nil && !described {
		lines = append(strings.Split(err.Error(), "\n"), lines...)
	}
	if err := checkClient(p); err != nil {
		lines = append(strings.Split(err.Error(), "\n"), lines...)
	}
	for _, text := range lines {
		place, what, _ := strings.Cut(strings.TrimPrefix(text, p.Name()+":"), ": ")
		line, _, _ := strings.Cut(place, ":")
		all = append(all, "line "+line+": "+what)
	}
	return all
}

func has(e *policyfile.Entry, key string) bool {
	return slices.ContainsFunc(e.Settings, func(s policyfile.Setting) bool { return s.Key == key })
}
