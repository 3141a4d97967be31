package metrics

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Bytes contains the total size of the messages of calls that have ended. It does not include
// gRPC's 5-byte prefix of each message.
type Bytes struct {
	// Sent and Received are the sizes without compression.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// SentCompressed and ReceivedCompressed are the sizes as transmitted. For messages that
	// are not compressed they equal the sizes without compression.
	SentCompressed     uint64 `json:"sent_compressed"`
	ReceivedCompressed uint64 `json:"received_compressed"`
	// Unmeasured counts the calls whose sizes are not known. Without
	// [hauberk.Config.CountBytes] these are all calls on a server. On a client they are the
	// calls that have sent a message and either ended with OK or received a message: other
	// calls may not have reached a connection.
	Unmeasured uint64 `json:"unmeasured"`
}

func (b *Bytes) add(other Bytes) {
	b.Sent += other.Sent
	b.Received += other.Received
	b.SentCompressed += other.SentCompressed
	b.ReceivedCompressed += other.ReceivedCompressed
	b.Unmeasured += other.Unmeasured
}

// bytes contains the counters of Bytes.
type bytes struct {
	sent, received, sentCompressed, receivedCompressed, unmeasured atomic.Uint64
}

func (b *bytes) load() Bytes {
	return Bytes{
		b.sent.Load(), b.received.Load(), b.sentCompressed.Load(), b.receivedCompressed.Load(), b.unmeasured.Load(),
	}
}

// count counts the bytes of a call that has ended, as soon as they are final. A client's call
// that did not reach a connection has no bytes and is not unmeasured.
func (b *bytes) count(call *hauberk.Call, code codes.Code, sent, received uint64) {
	w := call.Wire()
	if w != nil {
		w.WhenFinal(func() { b.add(w) })
		return
	}
	if call.Side() == hauberk.ServerSide || sent > 0 && (code == codes.OK || received > 0) {
		b.unmeasured.Add(1)
	}
}

func (b *bytes) add(w *hauberk.Wire) {
	sent, received := w.Sent(), w.Received()
	b.sent.Add(uint64(sent.Bytes))
	b.sentCompressed.Add(uint64(sent.Compressed))
	b.received.Add(uint64(received.Bytes))
	b.receivedCompressed.Add(uint64(received.Compressed))
}
