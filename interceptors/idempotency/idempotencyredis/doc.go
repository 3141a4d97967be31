// Package idempotencyredis keeps the keys of package idempotency in Redis or Valkey, so that all nodes of a
// service share them, and that they outlive a node.
//
//	store := idempotencyredis.New(idempotencyredis.Config{Name: "shop", Addresses: []string{"redis:6379"}})
//	defer store.Close()
//	server := idempotency.New(idempotency.Config{}, idempotency.WithStore(store))
//
// [New] does not wait for a server: the connection is made in the background, and again after it was
// lost. What happens to calls without a server is a setting of package idempotency.
//
// # Servers
//
// Redis and Valkey from version 5 on: a single server, a primary that Sentinels name
// ([Config.Sentinel]), or a cluster, which is recognized. The user needs the keys hauberk:* and these commands:
//
//   - EVALSHA, EVAL, HMGET, HSET, PEXPIRE and DEL;
//   - for connections HELLO, PING and CLUSTER;
//   - SELECT if [Config.DB] is not 0;
//   - ROLE with Sentinels.
//
// The user of Sentinels needs HELLO, PING, SENTINEL and SUBSCRIBE, with all channels.
//
// One script compares the owner of a key and sets it; each request is one script on one key. Leases and
// outcomes expire by the clock of the server: clocks of nodes do not matter. A server that does not answer
// for about two seconds is disconnected.
//
// A key is "hauberk:idempotency:" and the SHA-256 of Config.Name and the key. It takes about 200 bytes in
// addition to its outcome.
//
// # What the server may lose
//
// The effect of a key that the server has lost is executed again: use a policy that evicts no keys
// (maxmemory-policy noeviction) and persistence (appendonly yes, appendfsync always). Replicas are behind
// their primary: a failover loses the keys of calls that run or have ended shortly before it, and those that
// the old primary still takes. min-replicas-to-write with min-replicas-max-lag bounds that time, and does not
// make it zero. CLUSTER FAILOVER, for which the old primary waits for its replica, may lose a key, too.
package idempotencyredis
