package ratelimitredis_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// try takes a permit of a key and returns the error.
func try(q ratelimit.Quotas, key string, timeout time.Duration) (ratelimit.Decision, error) {
	decisions := make([]ratelimit.Decision, 1)
	err := q.Take(context.Background(), timeout, []ratelimit.Demand{demand(key, 1)}, decisions)
	return decisions[0], err
}

// A server that is not there when the store is made is found later. A server that restarts without data and scripts,
// or whose scripts are flushed, causes no error once it answers.
func TestRestart(t *testing.T) {
	s := redistest.Start(t)
	s.Kill()
	q, _ := open(t, at(s.Addr), limitOf(ratelimit.GCRA, 2, time.Hour))
	if _, err := try(q, "alice", patient); err == nil || !strings.Contains(err.Error(), s.Addr) {
		t.Fatalf("without a server: %v", err)
	}
	s.Restart()
	redistest.Eventually(t, "the store finds the server", func() bool {
		d, err := try(q, "first", patient)
		return err == nil && d.OK
	})
	take(t, q, demand("alice", 2))
	s.Do("SCRIPT", "FLUSH")
	if d := take(t, q, demand("bob", 1)); !d.OK || d.Remaining != 1 {
		t.Errorf("after SCRIPT FLUSH: %+v", d)
	}
	s.Do("FLUSHALL")
	if d := take(t, q, demand("alice", 0)); d.Remaining != 2 {
		t.Errorf("after FLUSHALL: %+v", d)
	}
	s.Kill()
	s.Restart()
	redistest.Eventually(t, "the store finds the server again", func() bool {
		_, err := try(q, "again", patient)
		return err == nil
	})
	if d := take(t, q, demand("carol", 2)); !d.OK {
		t.Errorf("after a restart: %+v", d)
	}
}

// A server that is stopped costs no caller more than its timeout, and the requests that wait are bounded. When it
// continues, it answers again.
func TestPause(t *testing.T) {
	s := redistest.Start(t)
	q, _ := open(t, at(s.Addr), limitOf(ratelimit.GCRA, 2, time.Hour))
	take(t, q, demand("first", 1))
	s.Pause()
	var callers sync.WaitGroup
	for i := range 2000 {
		callers.Go(func() {
			if _, err := try(q, string(rune(i)), 20*time.Millisecond); !errors.Is(err, ratelimitredis.ErrNoAnswer) {
				t.Errorf("a stopped server: %v", err)
			}
		})
	}
	callers.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.Take(ctx, patient, []ratelimit.Demand{demand("x", 1)}, make([]ratelimit.Decision, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that has ended: %v", err)
	}
	s.Resume()
	redistest.Eventually(t, "the server answers again", func() bool {
		_, err := try(q, "again", patient)
		return err == nil
	})
}

// Servers that cannot be used cause an error that says which one, and what would be right.
func TestUnusableServers(t *testing.T) {
	const secret = "the-password"
	locked := redistest.Start(t, redistest.Args("--requirepass", secret))
	plain := redistest.Start(t)
	host, port, _ := net.SplitHostPort(plain.Addr)
	replica := redistest.Start(t, redistest.Args("--replicaof", host+" "+port))
	redistest.Eventually(t, "the replica is connected", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	full := redistest.Start(t, redistest.Args("--maxmemory", "1", "--maxmemory-policy", "noeviction"))
	for _, c := range []struct {
		name   string
		config ratelimitredis.Config
		want   string
		opts   []ratelimitredis.Option
	}{
		{"no password", at(locked.Addr), "set Config.Password", nil},
		{"wrong password", ratelimitredis.Config{Addresses: []string{locked.Addr}, Password: "wrong-" + secret}, "rejects the username or password", nil},
		{"wrong user", ratelimitredis.Config{Addresses: []string{locked.Addr}, Username: "eve", Password: secret}, "rejects the username or password", nil},
		{"a replica", at(replica.Addr), "it is a replica", nil},
		{"no memory", at(full.Addr), "its memory is full", nil},
		{"no cluster", ratelimitredis.Config{Addresses: []string{plain.Addr}, Cluster: true}, "not a node of a cluster", nil},
		{"two addresses", at(plain.Addr, locked.Addr), "127.0.0.1", nil},
		{"no TLS", at(plain.Addr), "", []ratelimitredis.Option{ratelimitredis.WithTLS(&tls.Config{MinVersion: tls.VersionTLS13})}},
		{"no credentials", at(plain.Addr), "no secrets today", []ratelimitredis.Option{ratelimitredis.WithCredentials(func() (string, string, error) {
			return "", "", errors.New("no secrets today")
		})}},
		{"no server", at("127.0.0.1:1"), "connection refused", nil},
		{"no name", at("no-such-host.invalid:6379"), "no-such-host.invalid", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Name = "test"
			store := ratelimitredis.New(c.config, c.opts...)
			defer func() { _ = store.Close() }()
			q, err := store.Open([]ratelimit.Limit{limitOf(ratelimit.GCRA, 2, time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			_, err = try(q, "alice", patient)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.config.Addresses[0]) {
				t.Errorf("got %v, want %q and the address", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the password is in %q", err)
			}
			t.Log(err)
		})
	}
}

// The right credentials work, from the configuration and from a function.
func TestCredentials(t *testing.T) {
	s := redistest.Start(t, redistest.Args("--requirepass", "secret"))
	config := at(s.Addr)
	config.Password = "secret"
	q, _ := open(t, config, limitOf(ratelimit.GCRA, 2, time.Hour))
	take(t, q, demand("alice", 1))
	store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{s.Addr}, Name: "test"},
		ratelimitredis.WithCredentials(func() (string, string, error) { return "", "secret", nil }))
	defer func() { _ = store.Close() }()
	q, err := store.Open([]ratelimit.Limit{limitOf(ratelimit.GCRA, 2, time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if d := take(t, q, demand("alice", 1)); !d.OK || d.Remaining != 0 {
		t.Errorf("%+v", d)
	}
}

// A function for credentials that panics, at the first connection or a later one, is a failure that ends with it.
func TestCredentialsPanic(t *testing.T) {
	s := redistest.Start(t, redistest.Args("--requirepass", "secret"))
	var calls, panics atomic.Int64
	store := ratelimitredis.New(ratelimitredis.Config{Addresses: []string{s.Addr}, Name: "test"}, ratelimitredis.WithCredentials(func() (string, string, error) {
		if calls.Add(1)%2 == 1 {
			panics.Add(1)
			panic("on purpose")
		}
		return "", "secret", nil
	}))
	defer func() { _ = store.Close() }()
	q, err := store.Open([]ratelimit.Limit{limitOf(ratelimit.GCRA, 1000, time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		redistest.Eventually(t, "the server is used", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return q.Take(ctx, patient, []ratelimit.Demand{demand(strconv.FormatInt(calls.Load(), 10), 1)}, make([]ratelimit.Decision, 1)) == nil
		})
		s.Kill()
		s.Restart()
	}
	if panics.Load() == 0 {
		t.Error("no panic")
	}
}

// fake is a server that answers each command with a text of the test.
func fake(t *testing.T, answer func(command []string) string) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = lis.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serveFake(conn, answer) })
		}
	})
	return lis.Addr().String()
}

func serveFake(conn net.Conn, answer func(command []string) string) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		var n, size int
		if n = number(r, '*'); n <= 0 {
			return
		}
		command := make([]string, n)
		for i := range command {
			size = number(r, '$')
			text := make([]byte, size+2)
			if _, err := io.ReadFull(r, text); err != nil {
				return
			}
			command[i] = string(text[:size])
		}
		if _, err := io.WriteString(conn, answer(command)); err != nil {
			return
		}
	}
}

func number(r *bufio.Reader, kind byte) (n int) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != kind {
		return -1
	}
	for _, c := range strings.TrimSpace(line[1:]) {
		n = 10*n + int(c-'0')
	}
	return n
}

// Servers that answer nonsense cause an error within the timeout: no crash, no hang, no permits.
func TestNonsense(t *testing.T) {
	script := func(answer string) func([]string) string {
		return func(command []string) string {
			switch command[0] {
			case "HELLO":
				return "%1\r\n+proto\r\n:3\r\n"
			case "CLUSTER":
				return "-ERR This instance has cluster support disabled\r\n"
			case "EVALSHA", "EVAL":
				return answer
			default:
				return "+OK\r\n"
			}
		}
	}
	always := func(answer string) func([]string) string { return func([]string) string { return answer } }
	numbers := func(n string) string { return "*9\r\n" + strings.Repeat(":"+n+"\r\n", 9) }
	for name, c := range map[string]struct {
		answer func([]string) string
		want   string
	}{
		"HTTP":                  {always("HTTP/1.1 400 Bad Request\r\n\r\n"), ""},
		"nothing":               {always(""), ""},
		"an empty line":         {always("\r\n"), ""},
		"a huge length":         {always("*99999999999\r\n"), ""},
		"text":                  {script("+hello\r\n"), ""},
		"null":                  {script("_\r\n"), ""},
		"too few numbers":       {script("*1\r\n:1\r\n"), "1 numbers, want 9"},
		"negative numbers":      {script(numbers("-7")), "number 0 is -7"},
		"permits without end":   {script(numbers("1000000")), "grants 1000000"},
		"no numbers":            {script("*9\r\n" + strings.Repeat("+x\r\n", 9)), ""},
		"loading":               {script("-LOADING Redis is loading the dataset in memory\r\n"), "loading its data"},
		"NOSCRIPT for ever":     {script("-NOSCRIPT No matching script. Please use EVAL.\r\n"), "NOSCRIPT"},
		"moved to itself":       {script("-MOVED 1 127.0.0.1:1\r\n"), "names another node"},
		"an answer in addition": {script(numbers("1") + ":1\r\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			addr := fake(t, c.answer)
			q, store := open(t, at(addr), limitOf(ratelimit.GCRA, 2, time.Hour))
			for range 3 {
				d, err := try(q, "alice", 3*time.Second)
				if name == "an answer in addition" {
					continue // the first answer is good
				}
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), addr) {
					t.Errorf("%+v, %v; want an error with %q and %s", d, err, c.want, addr)
				}
			}
			_ = store.Close()
		})
	}
}

// A server that knows only RESP2 works.
func TestOldProtocol(t *testing.T) {
	back := redistest.Start(t)
	addr := fake(t, func(command []string) string {
		if command[0] == "HELLO" {
			return "-ERR unknown command 'HELLO'\r\n"
		}
		return forward(t, back.Addr, command)
	})
	q, _ := open(t, at(addr), limitOf(ratelimit.GCRA, 2, time.Hour))
	if d := take(t, q, demand("alice", 1)); !d.OK || d.Remaining != 1 {
		t.Errorf("%+v", d)
	}
}

// forward sends a command to a server and returns its answer as it is.
func forward(t *testing.T, addr string, command []string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = conn.Close() }()
	if err := redistest.Write(conn, command...); err != nil {
		t.Error(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
