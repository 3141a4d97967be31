// Package version gates calls to a server by the version of their client, and counts the versions in use.
//
//	chain, err := hauberk.New(version.New(version.Config{Rules: []version.Rule{
//		{Client: "shop-cli", Methods: []string{"shop.v2.*"}, Versions: ">=2.0", Upgrade: "shop-cli 2.3"},
//		{Client: "shop-cli", Versions: ">=1.4, !=1.6.0", Upgrade: "shop-cli 1.8"},
//	}}))
//
// # The version of a client
//
// The client is the first product in the metadata key user-agent: "shop-cli" with the version 1.8.2 in
// "shop-cli/1.8.2 grpc-go/1.85.0". Programs with grpc-go set it with grpc.WithUserAgent, others with the
// channel argument grpc.primary_user_agent. Without it, the client is the library: "grpc-go".
// [Config].Metadata names another key, with a value of the same form.
//
// A name has up to 64 bytes of letters, digits and the other characters of a token (RFC 9110). A version
// has one to four numbers, and may have a pre-release and a build, as in Semantic Versioning 2.0.0:
// "1.8", "1.8.2-rc.1+linux". A call with another value, or with several, has no known version.
//
// Callers choose what they send: the version keeps old clients out, not attackers.
//
// # Rules
//
// The first [Rule] that names the client and the method decides. A call that no rule names is admitted. A
// rejected call ends with FAILED_PRECONDITION, which clients do not retry. Its text and the metadata of its
// google.rpc.ErrorInfo say which versions are supported, and what to upgrade to. errors.Is finds
// [ErrUnsupported] or [ErrUnknown] in this process, and the decision is recorded.
//
// Methods in hauberk.Config.Public are not gated, unknown methods only with Config.GateUnknown, and neither are the
// health and reflection services ([hauberk.Health], [hauberk.Reflection]): probes have their own versions, such as
// "kube-probe/1.33".
//
// # State and metrics
//
// Inner interceptors and the handler read the client from the state: [Key].
// [Interceptor.Snapshot] and [Interceptor.Measurements] have the calls by client and version, to see which
// clients a new rule would reject. They contain the clients that [Config] names, with the
// first two numbers of their versions, up to [Config].MaxVersions of them; all others are "other". In
// hauberk.Shadow a rule counts what it would reject.
package version
