package policy_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hauberk-rpc/hauberk/policy"
)

// The chains of a file are attached as those that a program makes itself.
func Example() {
	p, err := policy.Parse("policy.yaml", []byte(`
version: 1
server:
  - use: request_id
  - use: recovery
  - use: rate_limit
    id: per-peer
    by: peer
    limit: 1000/1s
    except: grpc.health.v1.Health/*
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	srv := p.Server().NewServer()
	defer srv.Stop()
	entries := p.Entries()
	for i := range entries {
		e := &entries[i]
		fmt.Println(e.Line, e.Use, e.Mode, e.Except, e.Settings)
	}
	// Output:
	// 4 request_id enforce [] []
	// 5 recovery enforce [] []
	// 6 rate_limit enforce [grpc.health.v1.Health/*] [by: peer limit: 1000/1s]
}

// Everything that is wrong with a file is reported at once, with its place.
func ExampleParse_errors() {
	_, err := policy.Parse("policy.yaml", []byte(`
version: 1
server:
  - use: rate_limit
    limt: 100/1m
  - use: rate_limit
    by: user
    limit: 100 per minute
client:
  - use: deadline
    max: 30
`))
	fmt.Println(err)
	// Output:
	// policy.yaml:4:5: rate_limit has no limit; want a number and a time, such as 100/1m
	// policy.yaml:5:5: rate_limit has the unknown key "limt"; did you mean "limit"?
	// policy.yaml:8:12: limit is "100 per minute"; want a number and a time, such as 100/1m
	// policy.yaml:11:10: max is "30", without a unit; want a time such as 30s or 500ms
}

// A file that is loaded again keeps the instances of the entries that have not changed.
func ExampleWithPrevious() {
	const file = `
version: 1
server:
  - {use: rate_limit, id: per-peer, limit: 1000/1s}
  - {use: recovery}
`
	p, err := policy.Parse("policy.yaml", []byte(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := policy.Parse("policy.yaml", []byte(file+"  - {use: metrics}\n"), policy.WithPrevious(p))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer next.Close()
	p.Close() // when its last call has ended
	entries := next.Entries()
	for i := range entries {
		fmt.Println(entries[i].Use, entries[i].Kept)
	}
	// Output:
	// rate_limit true
	// recovery true
	// metrics false
}

// A policy follows its file. Servers and connections keep the chains of the File, and the next call runs the new
// policy.
func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "policy")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "policy.yaml")
	write := func(text string) { _ = os.WriteFile(path, []byte(text), 0o600) }
	quiet := policy.WithLogger(slog.New(slog.DiscardHandler))

	write("version: 1\nserver:\n- use: recovery\n")
	f, err := policy.Open(path, quiet)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	srv := f.Server().NewServer()
	defer srv.Stop()

	write("version: 1\nserver:\n- use: recovery\n- use: request_id\n")
	fmt.Println("good:", f.Reload()) // at once; it would be noticed anyway
	write("version: 1\nserver:\n- use: recovry\n")
	fmt.Println("bad:", strings.TrimPrefix(f.Reload().Error(), dir))
	fmt.Println(len(f.Policy().Entries()), "entries are in force")
	// Output:
	// good: <nil>
	// bad: /policy.yaml:3:8: use is "recovry", which does not exist; did you mean "recovery"?
	// 2 entries are in force
}
