package contract_test

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// open starts a call with its first request.
func (v *serving) open(req *pb.Req) error { return v.begin(req.GetScript()) }

// openAndDelay does the same for methods with a stream of responses.
func (v *serving) openAndDelay(req *pb.Req) error {
	if err := v.open(req); err != nil {
		return err
	}
	v.delay(v.script.GetDelayMs())
	v.fail = v.fails.next(v.script)
	return nil
}

// sender is a stream of responses.
type sender interface{ Send(resp *pb.Resp) error }

// respond sends response number i, or fails instead.
func (v *serving) respond(stream sender, msg string, i uint32) error {
	if v.fail && i == v.script.GetFailAfter() {
		return v.failure()
	}
	return v.send(stream, msg, i)
}

// send sends response number i after the delay between responses. It sends nothing in an ended call,
// since grpcio does not run its handlers any further then.
func (v *serving) send(stream sender, msg string, i uint32) error {
	if i > 0 {
		v.delay(v.script.GetEachDelayMs())
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	return stream.Send(v.response(msg, i))
}

// response creates a response.
func (v *serving) response(msg string, i uint32) *pb.Resp {
	resp := &pb.Resp{
		Msg: msg, Index: i, Count: v.count, PayloadBytes: v.bytes, PayloadSha256: v.sum.text(),
		State: v.run.State, Payload: payload(int(v.script.GetPayloadSize()), int(i)), DeadlineMs: -1,
	}
	if deadline, ok := v.ctx.Deadline(); ok {
		resp.DeadlineMs = time.Until(deadline).Milliseconds()
	}
	if v.script.GetEchoMetadata() {
		md, _ := metadata.FromIncomingContext(v.ctx)
		resp.Metadata = echoed(md)
	}
	return resp
}

// payload returns bytes of a pattern that repeats after 4096 bytes.
func payload(size, index int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte((i%4096*31 + index) % 251)
	}
	return out
}

// echoed returns the request metadata that a response repeats.
func echoed(md metadata.MD) (out []*pb.Header) {
	for _, key := range keys(md, nil) {
		own := strings.HasPrefix(key, "x-") && key != callIDKey && key != "x-log-key"
		if !own && key != "authorization" && key != "traceparent" {
			continue
		}
		for _, v := range md[key] {
			out = append(out, &pb.Header{Key: key, Value: []byte(v)})
		}
	}
	return out
}

// sum is a running SHA-256.
type sum struct{ hash.Hash }

func newSum() sum { return sum{sha256.New()} }

func (s sum) add(b []byte) { _, _ = s.Write(b) } // a hash never fails

func (s sum) text() string { return hex.EncodeToString(s.Sum(nil)) }
