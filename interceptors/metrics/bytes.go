package metrics

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Bytes is the size of the messages of calls that have ended, on the wire. The 5
// bytes that gRPC puts in front of each message are in none of it.
type Bytes struct {
	// Sent and Received are the sizes before compression.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// SentCompressed and ReceivedCompressed are the sizes as they were sent; of
	// messages that are not compressed, that before compression.
	SentCompressed     uint64 `json:"sent_compressed"`
	ReceivedCompressed uint64 `json:"received_compressed"`
	// Unmeasured counts the calls of which the sizes are not known. If the chain is
	// without [hauberk.Config.CountBytes] these are all on a server, and on a client those that
	// have sent a message and were OK or have received one: others may not have come to
	// a connection.
	Unmeasured uint64 `json:"unmeasured"`
}

func (b *Bytes) add(other Bytes) {
	b.Sent += other.Sent
	b.Received += other.Received
	b.SentCompressed += other.SentCompressed
	b.ReceivedCompressed += other.ReceivedCompressed
	b.Unmeasured += other.Unmeasured
}

// bytes is Bytes as it is counted.
type bytes struct {
	sent, received, sentCompressed, receivedCompressed, unmeasured atomic.Uint64
}

func (b *bytes) load() Bytes {
	return Bytes{
		b.sent.Load(), b.received.Load(), b.sentCompressed.Load(), b.receivedCompressed.Load(), b.unmeasured.Load(),
	}
}

// count counts the bytes of a call that has ended, as soon as they are final. On a
// client a call may end without having come to a connection, which leaves nothing
// to measure.
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
