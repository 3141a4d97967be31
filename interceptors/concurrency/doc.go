// Package concurrency limits how many calls are in flight, on servers and clients.
//
//	chain, err := hauberk.New(
//		concurrency.New(concurrency.Config{Load: &concurrency.Load{}}), // by memory, outside of authn
//		authn.New(authn.Config{}, authn.Bearer(validate)),
//		concurrency.New(concurrency.Config{
//			Adaptive: &concurrency.Adaptive{}, Tenant: callkey.Tenant(), MaxWaiting: 100,
//		}),
//	)
//
// # Limits
//
//   - [Config.Limit] is a fixed limit. With [Config.By] each method, user or other key has
//     its own: a bulkhead.
//   - [Config.Adaptive] finds the limit of each key from the durations of calls: it grows
//     while they are about as long as without a queue inside the server, and falls above that. A
//     server that has become slower keeps its limit. Only unary calls count, and with
//     [ForMessages] the times from requests to responses. It falls as well if calls end with
//     UNAVAILABLE or RESOURCE_EXHAUSTED, except for rejections of inner interceptors and for messages
//     that exceed a size limit.
//   - [Config.Load] rejects all calls while the memory of the process, or another load that
//     [WithProbe] measures, is high: from the high mark on until it is below the low one.
//
// A server rejects calls before it reads their requests.
//
// # Queue, priorities and fair shares
//
// Up to [Config.MaxWaiting] calls of a key wait, each for at most [Config.MaxWait]. A call does not
// wait if less time is left until its deadline than nine of ten recent calls of its tenant took, or of all
// calls of the key without [Config.Tenant].
//
// With [Config.Tenant] each tenant that has calls, or had one within [Config.Hold], has an equal
// share of the limit. A tenant may exceed its share by what the others leave of theirs, and by half
// of the limit. A tenant that uses at most half of its share loses no call to others if there is
// a queue: in the worst case its call waits for the next slot that becomes free, if its deadline
// allows that. Without a queue
// it loses only calls that arrive while those of others, admitted before it became active, use
// its slots. Calls without a tenant share one. Tenants that callers can invent have shares too: use a
// key that is authenticated.
//
// A slot that becomes free goes to a tenant below its share first, and then to the higher priority
// ([Config.Critical], [Config.Sheddable], [WithPriority]). If the queue is full, a call displaces
// one of a tenant with more calls, or one of lower priority.
//
// # Slots
//
// A slot returns when the call ends, however it ends: with a status, a panic, runtime.Goexit, a
// cancelled context, a vanished client. A handler that ignores its context holds its slot until it
// returns.
//
// Streams hold a slot as [Config.Streams] says. With [ForMessages] a stream with a single request
// has a slot from its start until its first response. Others have one from a request until the
// next response, or the end; on a client until the application receives it. Responses that no
// request asked for need none. A message that gets no slot ends the stream.
//
// # Rejections
//
//	reason                  code                 when
//	CONCURRENCY_FULL        RESOURCE_EXHAUSTED   no slot is free, and the queue is full or there is none
//	CONCURRENCY_WAITED      RESOURCE_EXHAUSTED   the call waited for MaxWait
//	CONCURRENCY_DISPLACED   UNAVAILABLE          another call took the place in the queue
//	CONCURRENCY_NO_TIME     DEADLINE_EXCEEDED    the call cannot finish before its deadline
//	LOAD_SHED               UNAVAILABLE          the load is high
//
// RESOURCE_EXHAUSTED is UNAVAILABLE if the limit is adaptive: then it is the server that has too
// much to do, and not the caller that exceeds a number, as in Envoy's adaptive concurrency filter
// and Netflix's concurrency-limits. RESOURCE_EXHAUSTED has google.rpc.QuotaFailure, whose subject
// is the kind of key. All but DEADLINE_EXCEEDED have RetryInfo: at least [Config.RetryAfter], or
// the median duration of recent calls. In the process errors.Is finds [ErrFull] and its like.
// Rejections are recorded ([hauberk.Call.Decisions]). A call whose context ends while it waits ends
// with CANCELLED or DEADLINE_EXCEEDED, without a decision.
//
// In [hauberk.Shadow] no call waits: one that would wait counts as rejected, and continues without
// a slot.
//
// # What is limited
//
// Limits by identity do not limit methods in [hauberk.Config.Public]. Calls of unknown methods are
// limited by peer, and by other keys if [Config.LimitUnknown] is set. A call without its key is
// limited by its peer, in a separate namespace. Inside a retry each attempt needs a slot, and
// waiting between attempts needs none.
//
// # Memory
//
// Keys with calls in flight are kept; of those without calls at most [Config.MaxKeys], the least
// recently used is removed first. A key costs about 1.5 KiB, with an adaptive limit about 4 KiB.
package concurrency
