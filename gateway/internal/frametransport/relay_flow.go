package frametransport

import (
	"errors"

	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// clientReceived is called when the client's stream has received something, or has failed.
func (r *relay) clientReceived() {
	if f := &r.requests; r.state == forwarding && !f.blocked && !f.ended {
		r.passRequests()
	} else if r.response.stream.Failed() != nil {
		r.finish(canceled())
	}
}

// upstreamSent is called when the requests that were passed on have been encoded.
func (r *relay) upstreamSent() {
	if r.state == forwarding {
		r.requests.unblock(r.response.stream)
		r.passRequests()
	}
}

// passRequests moves requests to the upstream.
func (r *relay) passRequests() {
	f := &r.requests
	if f.ended {
		return
	}
	batch := r.response.stream.Receive()
	if batch.Err != nil { // the upstream must know at once
		r.finish(canceled())
		return
	}
	data := f.receive(&batch, r.response.stream)
	cut := batch.Ended && f.incomplete()
	f.ended = batch.Ended && !cut && f.err == nil
	if len(data) > 0 || f.ended {
		r.keep(data)
		// After an error the upstream has ended the call, or it is sent once more: see passResponses.
		sent, err := r.up.Pass(data, f.ended)
		if f.blocked = err != nil || !sent; !f.blocked {
			f.unblock(r.response.stream)
		}
	}
	switch {
	case f.err != nil:
		r.response.met(f.err)
		r.fail(f.err)
	case cut:
		r.fail(errTruncated)
	default:
		r.await()
	}
}

// receive returns the data of a batch that can be passed on. It returns credit for data that is held
// back, and owes that for the rest.
func (f *flow) receive(batch *h2.Batch, from *h2.Stream) [][]byte {
	before := len(f.held)
	data, n := f.split(batch.Data)
	if n > 0 {
		n -= before // credit for these bytes was returned
	}
	f.owed += n
	if more := batch.Size - n; more > 0 {
		from.Credit(more)
	}
	return data
}

// incomplete reports whether a message has begun and is not complete.
func (f *flow) incomplete() bool { return f.taken > 0 }

// unblock lets the direction go on, and returns credit for what was passed on.
func (f *flow) unblock(from *h2.Stream) {
	f.blocked = false
	if f.owed > 0 {
		from.Credit(f.owed)
		f.owed = 0
	}
}

// size returns the number of bytes in pieces.
func size(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// clientSent is called when the responses that were passed on have been encoded.
func (r *relay) clientSent() {
	if r.state == forwarding {
		r.responses.unblock(r.up)
		r.passResponses()
	}
}

// passResponses moves responses to the client, and the end of the call.
func (r *relay) passResponses() {
	f := &r.responses
	if r.state != forwarding || f.blocked {
		return
	}
	batch := r.up.Receive()
	var a answer
	if !r.begun && !r.receiveHeader(&a, &batch) {
		return
	}
	if data := f.receive(&batch, r.up); len(data) > 0 && !r.passData(data) {
		return
	}
	if f.blocked {
		return // the end follows the data
	}
	switch {
	case f.err != nil:
		a.fail(r.source(), f.err)
	case batch.Ended && f.incomplete():
		a.fail(r.source(), errTruncated)
	case batch.Ended:
		a.receiveTrailer(r.source())
	case batch.Err != nil:
		a.fail(r.source(), batch.Err)
	default:
		return
	}
	r.finishAnswered(&a)
}

// receiveHeader receives the response header, if it has arrived, and passes it on. It returns
// whether the call goes on.
func (r *relay) receiveHeader(a *answer, batch *h2.Batch) bool {
	switch {
	case batch.HasHeader:
		r.begun = true
		r.replay = replay{final: true}
		a.receiveHeader(r.source(), batch.Header)
	case batch.Err == nil, r.sendAgain(batch.Err):
		return false
	default:
		a.fail(r.source(), batch.Err)
	}
	if a.raw.Header != nil {
		raw := a.raw
		raw.Header = r.server.direct.ResponseFields(raw.Header)
		r.response.SetRaw(raw)
		if err := r.response.sendHeader(); err != nil {
			r.fail(err)
			return false
		}
		r.response.raw.Header = nil
	}
	if a.over {
		r.finishAnswered(a)
		return false
	}
	return true
}

// passData passes responses on. It returns whether the call goes on.
func (r *relay) passData(data [][]byte) bool {
	if !r.answered {
		r.answered = true
		r.server.direct.Answered(r.method)
	}
	sent, err := r.response.stream.Pass(data, false)
	if err != nil { // the client's stream has failed
		r.finish(canceled())
		return false
	}
	f := &r.responses
	r.response.within = f.left > 0
	if f.blocked = !sent; sent {
		f.unblock(r.up)
	}
	return true
}

// finishAnswered ends the call with the status of the upstream's side.
func (r *relay) finishAnswered(a *answer) {
	if a.raw.Trailer != nil {
		raw := a.raw
		raw.Header = nil // it was sent, if there is one
		raw.Trailer = r.server.direct.ResponseFields(raw.Trailer)
		r.response.SetRaw(raw)
	}
	r.server.direct.Ended(r.method, a.end)
	r.finish(a.end)
}

// replay keeps what is needed to send a call once more, if the upstream has not processed it. See
// sending.
type replay struct {
	request  *transport.Request
	requests keptData // so far
	size     int      // of requests, in bytes
	final    bool     // the call is not sent again
	cause    error    // why it is
}

// keep keeps requests that are about to be passed on.
func (r *relay) keep(data [][]byte) {
	if r.replay.final {
		return
	}
	if r.replay.size += size(data); r.replay.size > maxKept {
		r.replay = replay{final: true}
		return
	}
	r.replay.requests.add(data)
}

// sendAgain begins to send the call once more, if the upstream has not processed it.
func (r *relay) sendAgain(err error) bool {
	if r.replay.final || !errors.Is(err, h2.ErrUnprocessed) {
		return false
	}
	r.replay.final, r.replay.cause = true, err // once is enough: the upstream may be unable to serve the call
	r.up.Close()
	r.openLater()
	r.await()
	return true
}

// resend passes on the requests that the stream before has not processed.
func (r *relay) resend() {
	requests, f := r.replay.requests.pieces(), &r.requests
	if r.replay.cause == nil {
		return
	}
	r.replay = replay{final: true}
	sent, err := r.up.Pass(requests, f.ended)
	if f.blocked = err != nil || !sent; !f.blocked {
		f.unblock(r.response.stream)
	}
}
