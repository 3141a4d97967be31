// Package limitsfile reads the limits of a rate limit server (package rlsserver) from a file in YAML:
//
//	unknown: ok                # or error: descriptors without a limit
//	headers: x-ratelimit       # for clients: none, ratelimit, x-ratelimit or all
//	limits:
//	  - domain: shop
//	    descriptors:
//	      - key: user          # each user has a quota
//	        limit: 100/1m
//	        burst: 20
//	      - key: user
//	        value: batch
//	        limit: 10/1m
//	        algorithm: fixed_window
//	        mode: shadow
//	        descriptors:       # for requests with a second entry
//	          - key: method
//	            limit: 5/1m
//
// These are the keys of a file; all but limits are optional:
//
//   - unknown: ok (default) or error, see rlsserver.Unknown;
//   - overrides: true obeys the limits that requests carry, false (default) does not;
//   - override_algorithm: how their permits return, as algorithm below;
//   - headers: none (default), ratelimit, x-ratelimit or all, see ratelimit.Headers;
//   - max_keys: the number of quotas that are kept for each limit (default 65536);
//   - redis: a Redis or Valkey that keeps the quotas, for several servers (default: this process does);
//   - limits: the domains, each with domain and descriptors.
//
// These are the keys of a descriptor:
//
//   - key, and optionally value: without it the descriptor is for all values that no other has;
//   - limit: a number and a time as Go writes it, such as 100/1m or 1000000/24h;
//   - burst: how many permits can be taken at once, for gcra only (default: as many as the limit);
//   - algorithm: gcra (default), sliding_window or fixed_window;
//   - mode: enforce (default), shadow or off;
//   - name: of the limit, for clients;
//   - charge_rejected: true counts requests over the limit as well;
//   - unlimited: true in place of a limit;
//   - descriptors: for the next entry.
//
// These are the keys of redis; all but addresses and name are optional (see package ratelimitredis):
//
//   - addresses: a list of host:port, of a server, of nodes of a cluster or of Sentinels;
//   - name: of the service, which all its servers have;
//   - username, and password_file: a file with the password, which is read for each connection;
//   - db: the number of the database; cluster: true requires a cluster; leases: false turns leases off;
//   - sentinel: the primary that Sentinels watch, with master_name, username and password_file;
//   - tls: connects with TLS, with ca_file, cert_file, key_file and server_name, all optional;
//   - fail: local (default), open or closed, what happens while Redis does not answer;
//   - nodes: the number of servers, for fail: local (default 1);
//   - timeout: how long a request waits for Redis (default 25ms); retry: how long requests do without it
//     after failures (default 1s).
//
// Names of files are relative to the folder of the file. Unknown keys and bad values are errors, each
// with its place: "file:line:column: what, and what would be right".
package limitsfile

import (
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
)

// maxDepth is how deep descriptors can be nested, as in rlsserver.
const maxDepth = 32

// maxMaxKeys is the greatest max_keys, that of rlsserver.
const maxMaxKeys = 1 << 26

// File is the content of a file.
type File struct {
	// Limits is valid for rlsserver.New, with a store if Redis is set.
	Limits rlsserver.Config
	// Redis is where the quotas are. nil is the memory of the process.
	Redis *Redis
}

// Parse returns the content of a file, or everything that is wrong with it. name is the name of the file
// in errors, and the folder of the files that it names.
func Parse(name string, data []byte) (File, error) {
	file := yamlfile.Parse(name, data)
	content := read(file.Root(), filepath.Dir(name))
	if err := file.Err(); err != nil {
		return File{}, err
	}
	return content, nil
}

// read returns the content that a value of a file has, and records what is wrong with it.
func read(v yamlfile.Value, dir string) File {
	var file File
	var limits *yamlfile.Value
	config := &file.Limits
	v.Map("the file", map[string]func(yamlfile.Value){
		"unknown": func(v yamlfile.Value) {
			n, _ := v.OneOf("unknown", "ok", "error")
			config.Unknown = rlsserver.Unknown(max(n, 0))
		},
		"overrides":          func(v yamlfile.Value) { config.Overrides, _ = v.Bool("overrides") },
		"override_algorithm": func(v yamlfile.Value) { config.OverrideAlgorithm = algorithm("override_algorithm", v) },
		"headers": func(v yamlfile.Value) {
			n, _ := v.OneOf("headers", "none", "ratelimit", "x-ratelimit", "all")
			config.Headers = ratelimit.Headers(max(n, 0))
		},
		"max_keys": func(v yamlfile.Value) { config.MaxKeys, _ = v.Int("max_keys", 1, maxMaxKeys) },
		"redis": func(v yamlfile.Value) {
			file.Redis = new(Redis)
			file.Redis.read(v, dir, &config.Shared)
		},
		"limits": func(v yamlfile.Value) { limits = &v },
	})
	if limits == nil {
		v.Errorf("the file has no limits; want limits: with domains and descriptors")
		return file
	}
	r := reader{domains: make(map[string]bool), overrides: config.Overrides}
	limits.List("limits", func(v yamlfile.Value) { config.Domains = append(config.Domains, r.domain(v)) })
	return file
}

// algorithm returns an algorithm by its name.
func algorithm(what string, v yamlfile.Value) ratelimit.Algorithm {
	n, _ := v.OneOf(what, "gcra", "sliding_window", "fixed_window")
	return ratelimit.Algorithm(max(n, 0))
}

// reader reads domains.
type reader struct {
	domains   map[string]bool
	overrides bool
}

func (r *reader) domain(v yamlfile.Value) rlsserver.Domain {
	var d rlsserver.Domain
	named := false
	v.Map("a domain", map[string]func(yamlfile.Value){
		"domain": func(v yamlfile.Value) {
			named = true
			if d.Name = text("domain", v); d.Name != "" && r.domains[d.Name] {
				v.Errorf("the domain %.100q is there twice", d.Name)
			}
			r.domains[d.Name] = true
		},
		"descriptors": func(v yamlfile.Value) { d.Descriptors = descriptors(v, 1) },
	})
	if !named {
		v.Errorf("a domain has no name; want domain: and the name")
	}
	if len(d.Descriptors) == 0 && !r.overrides {
		v.Errorf("the domain %.100q has no descriptors; want some, or overrides: true", d.Name)
	}
	return d
}

// text returns a text in UTF-8.
func text(what string, v yamlfile.Value) string {
	s, ok := v.Text(what)
	if ok && !utf8.ValidString(s) {
		v.Errorf("%s is %.100q; want UTF-8", what, s)
		return ""
	}
	return s
}

// descriptors returns the descriptors of a list.
func descriptors(v yamlfile.Value, depth int) (all []rlsserver.Descriptor) {
	if depth > maxDepth {
		v.Errorf("descriptors are nested deeper than %d", maxDepth)
		return nil
	}
	type entry struct{ key, value string }
	seen := make(map[entry]bool)
	v.List("descriptors", func(v yamlfile.Value) {
		d := descriptor(v, depth)
		if e := (entry{d.Key, d.Value}); seen[e] {
			v.Errorf("the key %.100q with the value %.100q is there twice", d.Key, d.Value)
		} else {
			seen[e] = d.Key != ""
		}
		all = append(all, d)
	})
	return all
}

// descriptor returns a descriptor with its limit.
func descriptor(v yamlfile.Value, depth int) rlsserver.Descriptor {
	var d rlsserver.Descriptor
	var l rlsserver.Limit
	var limit *yamlfile.Value
	keyed, readable := false, false
	var ofLimit []string // keys that only a limit has
	withLimit := func(key string, read func(v yamlfile.Value)) func(yamlfile.Value) {
		return func(v yamlfile.Value) {
			ofLimit = append(ofLimit, key)
			read(v)
		}
	}
	v.Map("a descriptor", map[string]func(yamlfile.Value){
		"key":         func(v yamlfile.Value) { keyed, d.Key = true, text("key", v) },
		"value":       func(v yamlfile.Value) { d.Value = text("value", v) },
		"unlimited":   func(v yamlfile.Value) { d.Unlimited, _ = v.Bool("unlimited") },
		"descriptors": func(v yamlfile.Value) { d.Descriptors = descriptors(v, depth+1) },
		"limit": func(v yamlfile.Value) {
			limit = &v
			l.Permits, l.Per, readable = v.Rate("limit")
		},
		"name":      withLimit("name", func(v yamlfile.Value) { l.Name = text("name", v) }),
		"burst":     withLimit("burst", func(v yamlfile.Value) { l.Burst = burst(v) }),
		"algorithm": withLimit("algorithm", func(v yamlfile.Value) { l.Algorithm = algorithm("algorithm", v) }),
		"mode":      withLimit("mode", func(v yamlfile.Value) { l.Mode = mode(v) }),
		"charge_rejected": withLimit("charge_rejected", func(v yamlfile.Value) {
			l.ChargeRejected, _ = v.Bool("charge_rejected")
		}),
	})
	switch {
	case !keyed:
		v.Errorf("a descriptor has no key")
	case limit == nil && len(ofLimit) > 0:
		v.Errorf("a descriptor has %s without a limit; want limit: such as 100/1m", strings.Join(ofLimit, ", "))
	case limit == nil && !d.Unlimited && len(d.Descriptors) == 0:
		v.Errorf("a descriptor has neither a limit nor descriptors; want one, or unlimited: true")
	case limit != nil && d.Unlimited:
		v.Errorf("a descriptor has a limit and is unlimited; want one of them")
	}
	if limit != nil {
		d.Limit = &l
		if readable {
			check(*limit, l)
		}
	}
	return d
}

// burst returns a burst; rlsserver bounds it further.
func burst(v yamlfile.Value) int {
	const most = 1<<32 - 1
	n, _ := v.Int("burst", 1, most)
	return n
}

func mode(v yamlfile.Value) rlsserver.Mode {
	n, _ := v.OneOf("mode", "enforce", "shadow", "off")
	return rlsserver.Mode(max(n, 0))
}

// check records what is wrong with a limit.
func check(v yamlfile.Value, l rlsserver.Limit) {
	if err := l.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			v.Errorf("%s", line)
		}
	}
}
