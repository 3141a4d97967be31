package ratelimitredis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// The permissions in the documentation are enough for each topology and setting.
func TestPermissions(t *testing.T) {
	commands, ofSentinels := redistest.Permissions(t, "these commands:\n"), redistest.Permissions(t, "The user of Sentinels needs")
	allow := func(s *redistest.Server, user string, rules ...string) {
		s.Do(append([]string{"ACL", "SETUSER", user, "reset", "on", ">secret", "resetchannels", "-@all"}, rules...)...)
	}
	limited := func(addr string) ratelimitredis.Config {
		return ratelimitredis.Config{Addresses: []string{addr}, Username: "limits", Password: "secret"}
	}
	server := func(t *testing.T) *redistest.Server {
		s := redistest.Start(t)
		allow(s, "limits", slices.Concat(commands, []string{"~hauberk:*"})...)
		return s
	}
	for name, start := range map[string]func(t *testing.T) ratelimitredis.Config{
		"server": func(t *testing.T) ratelimitredis.Config { return limited(server(t).Addr) },
		"database": func(t *testing.T) ratelimitredis.Config {
			config := limited(server(t).Addr)
			config.DB = 1
			return config
		},
		"sentinel": func(t *testing.T) ratelimitredis.Config {
			sentinel := redistest.Sentinel(t, "quotas", server(t))
			allow(sentinel, "watcher", slices.Concat(ofSentinels, []string{"allchannels"})...)
			config := limited(sentinel.Addr)
			config.Sentinel = ratelimitredis.Sentinel{MasterName: "quotas", Username: "watcher", Password: "secret"}
			return config
		},
		"cluster": func(t *testing.T) ratelimitredis.Config {
			nodes := redistest.Cluster(t)
			for _, s := range nodes {
				allow(s, "limits", slices.Concat(commands, []string{"~hauberk:*"})...)
			}
			config := limited(nodes[0].Addr)
			config.Cluster = true
			return config
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := start(t)
			for _, a := range algorithms {
				q, _ := open(t, config, limitOf(a, 4000, time.Second))
				var err error
				redistest.Eventually(t, "a server with the documented permissions answers", func() bool {
					if _, err = try(q, "alice", patient); err != nil {
						t.Log(err)
					}
					return err == nil
				})
			}
		})
	}
}

// An error for a lack of permissions says where they are listed.
func TestMissingPermission(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "limits", "on", ">secret", "-@all", "+hello", "+ping")
	config := at(s.Addr)
	config.Username, config.Password = "limits", "secret"
	q, _ := open(t, config, limitOf(0, 10, time.Second))
	if _, err := try(q, "alice", patient); err == nil || !strings.Contains(err.Error(), "lists under Servers") {
		t.Errorf("%v", err)
	}
}
