package limitsfile_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// noStore is a store whose quotas have no limit.
type noStore struct{}

func (noStore) Open([]ratelimit.Limit) (ratelimit.Quotas, error) { return noStore{}, nil }

func (noStore) Take(context.Context, time.Duration, []ratelimit.Demand, []ratelimit.Decision) error {
	return nil
}

func (noStore) Charge(context.Context, time.Duration, []ratelimit.Demand) error { return nil }

// withRedis has everything that the section can have.
const withRedis = `redis:
  addresses: ["10.0.0.1:26379", "10.0.0.2:26379"]
  name: shop
  username: limits
  password_file: secrets/redis
  db: 3
  cluster: false
  leases: false
  sentinel: {master_name: main, username: watcher, password_file: /run/secrets/sentinel}
  tls: {ca_file: ca.crt, cert_file: tls.crt, key_file: tls.key, server_name: redis.example}
  fail: closed
  nodes: 4
  timeout: 50ms
  retry: 2s
limits: [{domain: shop, descriptors: [{key: user, limit: 5/1s}]}]
`

func TestRedis(t *testing.T) {
	got, err := limitsfile.Parse("/etc/hauberk/limits.yaml", []byte(withRedis))
	if err != nil {
		t.Fatal(err)
	}
	want := &limitsfile.Redis{
		Config: ratelimitredis.Config{
			Addresses: []string{"10.0.0.1:26379", "10.0.0.2:26379"}, Name: "shop", Username: "limits", DB: 3, NoLeases: true,
			Sentinel: ratelimitredis.Sentinel{MasterName: "main", Username: "watcher"},
		},
		PasswordFile: "/etc/hauberk/secrets/redis", SentinelPasswordFile: "/run/secrets/sentinel",
		TLS: &limitsfile.TLS{
			CAFile: "/etc/hauberk/ca.crt", CertFile: "/etc/hauberk/tls.crt", KeyFile: "/etc/hauberk/tls.key",
			ServerName: "redis.example",
		},
	}
	if diff := cmp.Diff(want, got.Redis); diff != "" {
		t.Error(diff)
	}
	shared := ratelimit.Shared{Fail: ratelimit.FailClosed, Nodes: 4, Timeout: 50 * time.Millisecond, RetryStore: 2 * time.Second}
	if diff := cmp.Diff(shared, got.Limits.Shared); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with the section is reported with its place.
func TestRedisErrors(t *testing.T) {
	for section, want := range map[string]string{
		"{}":                            "f:1:8: redis: Addresses is empty",
		"{addresses: [redis], name: a}": `f:1:8: redis: Addresses[0] is not an address; want "host:port"`,
		"{addresses: 'redis://:s3cret@a:1', name: a}":                              "addresses is a text; want a list",
		"{addresses: ['redis://:s3cret@a:1'], name: a}":                            `Addresses[0] is not an address; want "host:port"`,
		"{addresses: [\"a:1\"]}":                                                   "f:1:8: redis: Name is empty",
		"{addresses: redis, name: a}":                                              `f:1:20: addresses is a text; want a list`,
		"{addresses: [\"a:1\"], name: a, username: b}":                             "redis: Username is set without Password",
		"{addresses: [\"a:1\", \"b:1\"], name: a, db: 3}":                          "redis: DB is 3; want 0",
		"{addresses: [\"a:1\"], name: a, db: -1}":                                  `db is "-1"; want a number from 0`,
		"{addresses: [\"a:1\"], name: a, fail: safe}":                              `fail is "safe"; want one of local, open, closed`,
		"{addresses: [\"a:1\"], name: a, nodes: 0}":                                `nodes is "0"; want a number from 1`,
		"{addresses: [\"a:1\"], name: a, timeout: 25}":                             `timeout is "25"; want a time above 0, such as 30s`,
		"{addresses: [\"a:1\"], name: a, retry: -1s}":                              `retry is "-1s"; want a time above 0`,
		"{addresses: [\"a:1\"], name: a, password: x}":                             `redis has the unknown key "password"`,
		"{addresses: [\"a:1\"], name: a, sentinel: {username: a}}":                 "sentinel has no master_name",
		"{addresses: [\"a:1\"], name: a, tls: {cert_file: a}}":                     "tls has one of cert_file and key_file; want both or none",
		"{addresses: [\"a:1\"], name: a, tls: on}":                                 `tls is "on"; want keys and values`,
		"{addresses: [\"a:1\"], name: a, sentinel: {master_name: a, username: b}}": "sentinel has a username without a password_file",
	} {
		_, err := limitsfile.Parse("f", []byte("redis: "+section+"\nlimits: []\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %s", section, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the password is in %v", section, err)
		}
		checkPlaces(t, err)
	}
}

// Open reports files that cannot be used, without their content.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, garbage := file("empty", "\n"), file("garbage", "no certificate, but a secret")
	for want, r := range map[string]limitsfile.Redis{
		"password_file: open":               {PasswordFile: filepath.Join(dir, "missing")},
		"is empty; want a password":         {PasswordFile: empty},
		"password_file: " + empty:           {SentinelPasswordFile: empty},
		"ca_file: open":                     {TLS: &limitsfile.TLS{CAFile: filepath.Join(dir, "missing")}},
		"garbage has no certificate in PEM": {TLS: &limitsfile.TLS{CAFile: garbage}},
		"redis: tls: ":                      {TLS: &limitsfile.TLS{CertFile: garbage, KeyFile: garbage}},
	} {
		_, _, err := r.Open()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a secret") {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}
