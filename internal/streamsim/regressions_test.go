package streamsim

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

const ms = time.Millisecond

func does(after time.Duration, do action) step { return step{After: after, Do: do} }

func ends(after time.Duration, code codes.Code) srvEvent {
	return srvEvent{After: after, Do: srvEnd, Code: code}
}

func retries(limit int) interceptor { return interceptor{Kind: interceptorRetry, N: 2, Limit: limit} }

// regressions are programs with which exploration found that a rule was broken. Their delays make them
// break the rule in every run.
var regressions = map[string]program{
	// A message waited in a hook during a replay, and its context ended. The application received the next one, and OK.
	"a message that waits in a hook when a replay and its context end": {
		Kind:     hauberk.Bidi,
		Deadline: 10 * ms,
		Interceptors: []interceptor{
			retries(1000), {Kind: interceptorWait, N: 2}, {Kind: interceptorWait, Receive: true, N: 1, Limit: int(ms)},
		},
		Attempts: []script{
			{Events: []srvEvent{ends(2*ms, codes.Unavailable)}},
			{Events: []srvEvent{{Do: srvMessage, N: 2}, ends(0, codes.OK)}},
		},
		Sender:   []step{does(0, actSend)},
		Receiver: []step{does(0, actDrain)},
	},
	// The outer buffer mistook an attempt of the inner retry for its own, and SendMsg returned nil for a
	// message that no attempt took.
	"a message on its way between two buffers": {
		Kind: hauberk.Bidi,
		Interceptors: []interceptor{
			retries(1000), {Kind: interceptorBlock, N: 2, D: 10 * ms}, retries(1000),
		},
		Attempts: []script{
			{Events: []srvEvent{ends(5*ms, codes.Unavailable)}},
			{Events: []srvEvent{{Do: srvMessage, N: 1}, ends(3*ms, codes.NotFound)}},
		},
		Sender:   []step{does(0, actSend), does(0, actSend)},
		Receiver: []step{does(ms, actReceive)},
	},
	// The outer buffer did not notice that the inner retry had its message, and SendMsg
	// blocked.
	"a replay that an inner retry repeats": {
		Kind: hauberk.ClientStream,
		Interceptors: []interceptor{
			retries(1000),
			{Kind: interceptorFail, N: 1, Code: codes.Unavailable},
			retries(1000),
			{Kind: interceptorBlock, N: 1, D: ms},
		},
		Attempts: []script{{}, {Events: []srvEvent{ends(0, codes.Unavailable)}}, {}},
		Sender:   []step{does(0, actSend)},
	},
	// A panic of OnFinish in a unary call passed the guard.
	"a panic of OnFinish": {
		Kind: hauberk.Unary, Invoke: true, Finish: true,
		Interceptors: []interceptor{{Kind: interceptorRecovery}},
		Attempts:     []script{{Events: []srvEvent{{Do: srvMessage, N: 1}, ends(0, codes.OK)}}},
	},
	// Hooks ran after the next of their interceptor had returned.
	"an interceptor inside hooks returns early": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{{Kind: interceptorHooks}, {Kind: interceptorAbandon, D: 2 * ms, Code: codes.Unavailable}},
		Attempts:     []script{{}},
		Sender:       []step{does(ms, actSend), does(3*ms, actSend), does(0, actDrain)},
	},
	// NewStream waited for the opening.
	"an interceptor returns while the stream opens": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{{Kind: interceptorAbandon, D: 2 * ms, Code: codes.Unavailable}},
		Attempts:     []script{{OpenDelay: 10 * ms}},
	},
	"a retry around an interceptor that returns early": {
		Kind: hauberk.Bidi,
		Interceptors: []interceptor{
			{Kind: interceptorChange}, {Kind: interceptorRetry, N: 2, Limit: 1000, D: ms}, {Kind: interceptorAbandon, D: 2 * ms, Code: codes.Unavailable},
		},
		Attempts: []script{{Window: 1}},
		Sender:   []step{does(0, actSend), does(0, actSend), does(0, actDrain)},
	},
	// The retry passed the request through the outer hook again, concurrently.
	"a request in a hook when its attempt ends": {
		Kind:         hauberk.ServerStream,
		Interceptors: []interceptor{{Kind: interceptorBlock, N: 1, D: 5 * ms}, retries(0)},
		Attempts:     []script{{Events: []srvEvent{ends(ms, codes.Unavailable)}}, {}},
		Sender:       []step{does(0, actSend)},
		Receiver:     []step{does(0, actDrain)},
	},
	// The request was dropped once the retry had sent it and the application had received, and the hook of the
	// first attempt, in which SendMsg still was, saw it again.
	"a request that is dropped while it is in a hook": {
		Kind: hauberk.ServerStream,
		Interceptors: []interceptor{
			{Kind: interceptorBlock, N: 1, D: 10 * ms}, {Kind: interceptorHooks}, retries(1000),
		},
		Attempts: []script{{Events: []srvEvent{ends(0, codes.Unavailable)}}, {Events: []srvEvent{{Do: srvMessage, N: 1}}}},
		Sender:   []step{does(0, actSend)},
		Receiver: []step{does(0, actDrain)},
	},
	// The library received the messages of a stream that an interceptor of the connection had opened.
	"the connection opens a stream again": {
		Kind: hauberk.ServerStream, Reopens: true,
		Attempts: []script{
			{Events: []srvEvent{ends(ms, codes.Unavailable)}},
			{Events: []srvEvent{{Do: srvMessage, N: 3}, {After: 9 * ms, Do: srvMessage, N: 2}, ends(0, codes.OK)}},
		},
		Sender: []step{does(0, actSend), does(0, actClose), does(0, actReceive), does(5*ms, actDrain)},
	},
	// An interceptor of grpc-go opened a stream again on the goroutine that receives the end, while the
	// application closed its side.
	"a half-close while an adapter opens a stream again": {
		Kind: hauberk.ClientStream,
		Interceptors: []interceptor{
			{Kind: interceptorReopen}, {Kind: interceptorFail, N: 1, Code: codes.Unavailable}, {Kind: interceptorBlock, N: 1, D: 5 * ms},
		},
		Attempts: []script{{}, {Events: []srvEvent{{Do: srvReadAll}, {Do: srvMessage, N: 1}, ends(0, codes.OK)}}},
		Sender:   []step{does(0, actSend), does(ms, actClose), does(0, actDrain)},
	},
	// SendMsg blocked, since the stream of an adapter reports no end.
	"a hook that fails inside an adapter": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{{Kind: interceptorWrap}, {Kind: interceptorFail, N: 1, Code: codes.NotFound}},
		Attempts:     []script{{}},
		Sender:       []step{does(0, actSend), does(0, actDrain)},
	},
	// The application got a message of an attempt that had been replaced while an
	// outer hook held it.
	"a message of an attempt that was replaced": {
		Kind: hauberk.Bidi,
		Interceptors: []interceptor{
			{Kind: interceptorBlock, Receive: true, N: 1, D: 5 * ms},
			retries(1000),
			{Kind: interceptorFail, N: 1, ByText: true, Code: codes.Unavailable},
		},
		Attempts: []script{{Events: []srvEvent{{Do: srvEcho}}}},
		Sender:   []step{does(0, actSend), does(2*ms, actSend)},
		Receiver: []step{does(0, actDrain)},
	},
	// SendMsg waited for the receiver to find the end of the second attempt, and the receiver got the message.
	"a receiver commits the attempt whose end a replay met": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{{Kind: interceptorRetry, N: 2, Limit: 215, D: 5 * ms}, {Kind: interceptorDelay, D: ms}},
		Attempts: []script{
			{Window: 1, Events: []srvEvent{{Do: srvRead, N: 2}, ends(0, codes.Unavailable)}},
			{Events: []srvEvent{{Do: srvMessage, N: 1}, ends(0, codes.Unavailable)}},
		},
		Sender:   []step{does(2*ms, actSend), does(0, actSend), does(ms, actSend), does(0, actSend), does(5*ms, actClose)},
		Receiver: []step{does(4*ms, actReceive)},
	},
	// The misplaced message overtook those that were being replayed.
	"SendMsg after CloseSend during a replay": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{retries(1000), {Kind: interceptorBlock, N: 2, D: 5 * ms}},
		Attempts: []script{
			{Events: []srvEvent{ends(ms, codes.Unavailable)}},
			{},
		},
		Sender:   []step{does(0, actSend), does(2*ms, actClose), does(ms, actSend)},
		Receiver: []step{does(0, actDrain)},
	},
	// The attempt that opened was ended, but not its context, so no goroutine noticed.
	"SendMsg after CloseSend between two attempts": {
		Kind:         hauberk.ServerStream,
		Interceptors: []interceptor{retries(0)},
		Attempts: []script{
			{Events: []srvEvent{ends(ms, codes.Unavailable)}},
			{OpenDelay: 5 * ms},
		},
		Sender:   []step{does(0, actSend), does(0, actClose), does(3*ms, actSend)},
		Receiver: []step{does(0, actDrain)},
	},
	// The goroutine that receives the end panicked, which ended the process.
	"a panic while the library receives": {
		Kind:     hauberk.ClientStream,
		Attempts: []script{{PanicRecv: 1}},
		Sender:   []step{does(0, actClose), does(3*ms, actSend)},
	},
	// Received fell from 1 to 0.
	"a hook that rejects the response": {
		Kind:         hauberk.ClientStream,
		Interceptors: []interceptor{{Kind: interceptorFail, Receive: true, N: 1, Code: codes.Unavailable}},
		Attempts:     []script{{Events: []srvEvent{{Do: srvMessage, N: 1}, ends(0, codes.OK)}}},
		Sender:       []step{does(0, actClose), does(ms, actReceive)},
	},
	// SendMsg waited for the end of a stream that an adapter inside of another one had opened again.
	"a message meets the end of a stream that is opened again behind two adapters": {
		Kind:         hauberk.ClientStream,
		Interceptors: []interceptor{retries(1000), {Kind: interceptorWrap}, {Kind: interceptorReopen}},
		Attempts:     []script{{Events: []srvEvent{ends(0, codes.Unavailable)}}, {}},
		Sender:       []step{does(ms, actSend)},
	},
	// The outer buffer mistook the stream that was opening for one that had ended. SendMsg waited for its end,
	// and the library received its messages.
	"a message meets the end of a stream while another opens": {
		Kind:         hauberk.Bidi,
		Interceptors: []interceptor{retries(1000), retries(1000), {Kind: interceptorReopen}, {Kind: interceptorDelay, D: 2 * ms}},
		Attempts:     []script{{Events: []srvEvent{ends(ms, codes.Unavailable)}}, {Events: []srvEvent{{Do: srvMessage, N: 3}}}},
		Sender:       []step{does(4*ms, actSend)},
	},
	// An adapter opened a stream again during a replay, with the messages that it had been given, and the call
	// went on without the others.
	"a replay meets the end of a stream that an adapter opens again": replayToReopened(false,
		interceptor{Kind: interceptorBlock, N: 5, D: 5 * ms}, interceptor{Kind: interceptorReopen}),
	"a replay meets the end of a stream that the connection opens again": replayToReopened(true,
		interceptor{Kind: interceptorBlock, N: 5, D: 5 * ms}),
	"a replay meets the end of a stream that an inner adapter opens again": replayToReopened(false,
		interceptor{Kind: interceptorBlock, N: 5, D: 5 * ms}, interceptor{Kind: interceptorWrap}, interceptor{Kind: interceptorReopen}),
	// Messages that had arrived before a message could not be encoded were lost.
	"a message that cannot be encoded": {
		Kind:     hauberk.ServerStream,
		Tidy:     true,
		Attempts: []script{{FailSend: 1, Events: []srvEvent{{After: 5 * ms, Do: srvMessage, N: 1}}}},
		Sender:   []step{does(6*ms, actSend), does(ms, actReceive)},
	},
}

// replayToReopened is a program with a replay that meets the end of a stream, which the last interceptor, or
// the connection, opens again.
func replayToReopened(connection bool, inside ...interceptor) program {
	return program{
		Kind:         hauberk.ClientStream,
		Reopens:      connection,
		Interceptors: append([]interceptor{{Kind: interceptorRetry, N: 3, Limit: 1000}}, inside...),
		Attempts: []script{
			{Events: []srvEvent{ends(ms, codes.Unavailable)}},
			{Events: []srvEvent{ends(ms, codes.Unavailable)}},
			{Events: []srvEvent{ends(2*ms, codes.Unavailable)}},
			{OpenDelay: 9 * ms, Events: []srvEvent{{Do: srvReadAll}, {Do: srvMessage, N: 1}, ends(0, codes.OK)}},
		},
		Sender: []step{does(0, actSend), does(0, actSend), does(0, actSend), does(0, actClose), does(0, actDrain)},
	}
}

func TestRegressions(t *testing.T) {
	for name, p := range regressions {
		t.Run(name, func(t *testing.T) {
			if raced && p.has(interceptorAbandon) {
				t.Skip("a race in itself")
			}
			for range 5 {
				if w := explore(t, &p); len(w.violations) > 0 {
					t.Fatal(report(t, &p, w, w.violations[0].rule, true))
				}
			}
		})
	}
}
