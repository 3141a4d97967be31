// Package policy reads policy files: the chains of a server and a client, and the settings of the sidecar, in
// one file in YAML.
//
//	version: 1
//	public: [grpc.health.v1.Health/*]
//	server:                                  # outermost first
//	  - use: request_id
//	  - use: recovery
//	  - use: rate_limit
//	    id: per-peer
//	    by: peer
//	    limit: 1000/1s
//	client:
//	  - use: deadline
//	    max: 30s
//
// A program loads it and attaches the chains:
//
//	p, err := policy.Load("policy.yaml")
//	…
//	srv := p.Server().NewServer()
//	conn, err := grpc.NewClient(target, p.Client().DialOptions()...)
//	…
//	p.Close() // after the servers and connections have ended
//
// docs/policy.md lists all interceptors and keys. [Schema] is a JSON Schema for editors.
//
// # Format
//
// The keys of a file are version, which is 1 and required, require_end, gateway (see [Gateway]), those of
// [hauberk.Config], server and client. With require_end: true the file must end with the line "...", so that a
// file that is not written completely is not valid.
//
// An entry of server or client has the name of an interceptor in use, and keys for each setting of its Config in
// snake case: Config.MaxAttempts is max_attempts. These keys are the same for all interceptors:
//
//   - id: names the entry, once in a file. See [WithPrevious];
//   - methods, except: patterns of methods that the interceptor runs for, as those of [hauberk.For] and
//     [hauberk.Except]. The interceptors whose Config has Methods, such as retry, have the patterns as that, too;
//   - mode: enforce (default), shadow ([hauberk.Shadow]), or off.
//
// Durations are written as in Go (30s), limits with their period (limit: 100/1m), status codes by name
// (UNAVAILABLE), and constants in snake case (sliding_window). A list of one element may be written without the
// list. Keys of limits are user, peer, tenant, method, global, {metadata: x}, {field: path}, {cel: expression},
// {network: {ipv4: 24, ipv6: 56}}, or a list of those, which is their combination. Names of files are relative to
// the folder of the policy file.
//
// In texts, ${env:NAME} is replaced by an environment variable, and ${file:PATH} by the content of a file, without
// the end of its line. Passwords, client secrets and tokens must be written so. No error and no [Setting] contains
// the values.
//
// # Errors
//
// [Load] and [Parse] return everything that is wrong with a file, a line each, in the order of the file:
//
//	policy.yaml:12:12: limit is "100"; want a number and a time, such as 100/1m
//
// They report unknown keys, with the name that is most like it, keys that are there twice, wrong types, bad values,
// what the interceptors report about their settings, and, if there is nothing else, what [hauberk.New] reports about
// the chain, such as state that is read before it is written. With [WithServices] they also report patterns that
// match no method. A file has at most 1 MiB and 64 levels; anchors, aliases and tags are errors.
//
// # Reload
//
// [Open] returns a [File], which follows its file while servers and connections run. Its chains are a [hauberk.Live]
// for each side:
//
//	f, err := policy.Open("policy.yaml")
//	…
//	srv := f.Server().NewServer()
//	…
//	f.Close() // after the servers and connections have ended
//
// A change is in force for the next call. Calls and open streams keep the chain that they began with. Entries that have
// not changed keep their instances, with quotas, circuits and caches. Idempotency keys in memory are kept even if their
// entry has changed, unless the bounds of the memory have. A file that is not valid changes nothing. [File.Reload]
// loads the file at once, for SIGHUP, and [File.State] says what is in force since when, and why the file is not if it
// is not.
//
// [Load] and [Parse] do not watch. A program that replaces policies itself uses [WithPrevious].
package policy
