// Package serviceconfig makes the interceptors of a client chain from the service config of gRPC in JSON
// (service_config.proto and gRFC A6): the file that grpc.WithDefaultServiceConfig takes.
//
//	config, err := serviceconfig.Parse(data)
//	client := config.Client()
//	chain, err := hauberk.New(slices.Concat(calls, client.Calls, caches, client.Repeats, attempts)...)
//	conn, err := grpc.NewClient(target, chain.DialOptions(grpc.WithDefaultServiceConfig(config.Rest()))...)
//
// Do not give the whole file to grpc-go as well: its own retries would multiply with those of the chain.
// [Config.Rest] has what is left for it.
//
// # What the fields become
//
//	methodConfig[].name                     the methods of an entry; the most specific name counts, and no
//	                                        field is inherited from a less specific one
//	methodConfig[].timeout                  deadline: the longest time of a call, with all its attempts
//	methodConfig[].waitForReady             grpc.WaitForReady, unless the call or the connection has that option
//	methodConfig[].maxRequestMessageBytes   grpc.MaxCallSendMsgSize, unless the call has a lower limit
//	methodConfig[].maxResponseMessageBytes  grpc.MaxCallRecvMsgSize, unless the call has a lower limit
//	methodConfig[].retryPolicy              retry; client streams keep up to 256 KiB of their requests for it
//	methodConfig[].hedgingPolicy            hedge; methods that stream their requests are not hedged
//	retryThrottling                         retrybudget: one token bucket for all calls of the client
//	loadBalancingConfig                     left to grpc-go: see [Config.Rest]
//	loadBalancingPolicy                     left to grpc-go
//	healthCheckConfig                       left to grpc-go
//	connectionScaling                       left to grpc-go, which ignores it
//
// Like grpc-go, an entry retries and hedges all methods that it names, idempotent or not. Without retryThrottling
// no budget bounds the attempts, unless [WithBudget] has one.
//
// # Validation
//
// [Parse] reports everything that is wrong, each with its path: "methodConfig[2].retryPolicy.maxBackoff: ...".
// It accepts no service config that grpc.NewClient rejects, apart from errors in what is left to grpc-go. It also
// rejects what grpc-go accepts or ignores, since an operator who writes it is mistaken:
//
//   - unknown keys, also those that differ in case only; the same key twice in an object;
//   - null in place of the file, of an element of a list or of a whole object in methodConfig;
//   - hedgingPolicy with mistakes, or together with retryPolicy; grpc-go does not implement hedging;
//   - a methodConfig without a name that has mistakes (one without mistakes is skipped, as in gRPC);
//   - names that are not names of services and methods in protobuf;
//   - a timeout of 0 or less, negative limits of messages, durations that begin with "+";
//   - OK as a retryable or non-fatal code;
//   - a maxBackoff below initialBackoff if backoffMultiplier is below 1;
//   - retryThrottling with a maxTokens that is no whole number, or a tokenRatio below 0.001 (gRFC A6 has three
//     decimals).
//
// # Differences from grpc-go
//
// The differential test of this package runs scripts against grpc-go with a service config, and against the chain
// that is made of it. Attempts, outcomes, metadata and throttling are the same, except for these:
//
//   - The message of a call whose attempts are used up is that of the last attempt. grpc-go adds "max retries
//     exhausted" and the text of the error.
//   - A wait that would pass the deadline of the call is not begun: the call ends at once with the status of
//     its last attempt. grpc-go waits for the deadline, and ends with DEADLINE_EXCEEDED.
//   - A call whose deadline passes takes no token of retryThrottling, even if DEADLINE_EXCEEDED is retryable.
//     grpc-go counts it for unary calls, and for some streams.
//   - The tokens of retryThrottling are exact in thousandths. Those of grpc-go have the rounding errors of floating
//     point, so that it makes an attempt at exactly half of the tokens now and then.
//   - A google.rpc.RetryInfo in the details of a status makes the wait at least that long. grpc-go ignores it.
//   - A pushback of more than 2^31-1 ms, which is malformed in gRFC A6, ends the call. grpc-go obeys it.
//   - grpc-previous-rpc-attempts replaces a value that the application has set. grpc-go sends both.
//   - A single request of any size is kept, and the requests of client streams up to 256 KiB, with 64 bytes
//     more for each. grpc-go counts the bytes that it sends, and commits calls with larger requests.
//   - grpc.MaxRetryRPCBufferSize has no effect.
//   - A call that a handler makes with its context asks the client of the handler not to retry what was
//     retried here: see the section Layers of package retry.
//   - An attempt of a client stream that the server ends while its requests are sent again has the status of the
//     server. grpc-go can end such a call with OK.
//   - hedgingPolicy has an effect.
package serviceconfig
