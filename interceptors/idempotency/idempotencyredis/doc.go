// Package idempotencyredis keeps the keys of package idempotency in Redis or Valkey, so that all nodes of a
// service share them, and that they outlive a node.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"redis:6379"}, DisableCache: true})
//	store := idempotencyredis.New(client, idempotencyredis.Config{Name: "shop"})
//	server := idempotency.New(idempotency.Config{}, idempotency.WithStore(store))
//
// The application makes the client, and closes it: its options choose addresses, TLS, credentials,
// Sentinels or a cluster. rueidis.NewClient fails if there is no server at the start. What happens to calls
// when the server fails later is a setting of package idempotency.
//
// # Servers
//
// Redis and Valkey from version 5 on. The user needs the commands EVALSHA, EVAL, HMGET, HSET, PEXPIRE and
// DEL. One script compares the owner of a key and sets it; each request is one script on one key, so that
// every topology works. Leases and outcomes expire by the clock of the server: clocks of nodes do not
// matter.
//
// A key is "hauberk:idempotency:" and the SHA-256 of Config.Name and the key. It takes about 200 bytes in
// addition to its outcome.
//
// # What the server may lose
//
// The effect of a key that the server has lost is executed again: use a policy that evicts no keys
// (maxmemory-policy noeviction), persistence (appendonly yes), and for a primary with replicas WAIT or
// min-replicas-to-write, since a failover loses what was not replicated.
package idempotencyredis
