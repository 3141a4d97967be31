// Package ratelimitredis keeps the quotas of package ratelimit in Redis or Valkey, so that all
// nodes of a service share them.
//
//	store := ratelimitredis.New(ratelimitredis.Config{Name: "shop", Addresses: []string{"redis:6379"}})
//	defer store.Close()
//	limits := ratelimit.New(ratelimit.Config{Limit: 50_000, Per: time.Second}, ratelimit.WithStore(store))
//
// [New] does not wait for a server: the connection is made in the background, and again after it was
// lost. What happens to calls without a server is a setting of package ratelimit.
//
// # Servers
//
// Redis and Valkey from version 5 on: a single server, a primary that Sentinels name
// ([Config.Sentinel]), or a cluster, which is recognized. The user needs the keys hauberk:* and these commands:
//
//   - EVALSHA, EVAL, TIME, GET, SET, DEL, HGET, HMGET, HSET, HDEL and PEXPIRE;
//   - for connections HELLO, PING and CLUSTER;
//   - SELECT if [Config.DB] is not 0;
//   - ROLE with Sentinels.
//
// The user of Sentinels needs HELLO, PING, SENTINEL and SUBSCRIBE, with all channels.
//
// One script decides all demands of a call, all or none, by the clock of the server: clocks of nodes
// do not matter. If the clock of the server is set back, no caller waits longer than a burst
// (or a window) and 10 s; if it is set forward, callers get at most a burst. A server that lost
// its data or its scripts starts with whole quotas, without errors.
//
// # Keys
//
// A key is "hauberk:{hash}", or "hauberk:{hash of Config.Name}:hash" for the limits of an interceptor that
// has several and those of package rlsserver, which must be in one slot of a cluster. The hash is the first
// 128 bits of a SHA-256 of Config.Name, the limit, whether the key is a peer, and the key. So keys are short
// and have only safe characters. Equal limits share quotas if their stores have the same name; a limit with
// other numbers begins with whole quotas. So does the limit of an interceptor that gets a second one.
//
// Keys expire when their quota is whole. A key takes about 100 bytes in the server, with a sliding
// window up to 1024 entries, about 80 KiB.
//
// # Leases
//
// A node that often uses a key takes up to 1/400 of the limit at once and decides by itself; see
// internal/engine/lease for the exact rules. It needs one round trip for about 100 decisions
// on a limit of 40,000 a second, and none to reject calls on a key that it knows to be drained.
// At most 1 % more than the limit is admitted. For SlidingWindow it is 0.25 % for each node
// that has a lease. [Config.NoLeases] turns leases off. Limits below 400, and periods below 100 ms,
// have none.
//
// A rejection relies on an answer that is at most 1/100 of the period old, at least 5 ms and at
// most 1 s: permits that another node gives back are seen after that time.
//
// # Precision
//
// Times are whole microseconds. SlidingWindow returns permits up to 1/1023 of the period later if
// the limit is above 1024, as in memory.
//
// # Bounds
//
// At most 1000 requests wait for an answer of the server at a time; further ones wait for one of them
// until their timeout. A server that does not answer for about two seconds is disconnected.
package ratelimitredis
