package contract_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// Unary answers "echo:" and the request.
func (s *service) Unary(ctx context.Context, req *pb.Req) (resp *pb.Resp, err error) {
	err = s.serve(ctx, hauberk.Unary, func(v *serving) error {
		v.request(req)
		if err := v.open(req); err != nil {
			return err
		}
		v.awaitCancel()
		v.delay(v.script.GetDelayMs())
		if v.fails.next(v.script) {
			return v.failure()
		}
		resp = v.response("echo:"+req.GetMsg(), 0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// ServerStream answers count times "echo:", the request and a number.
func (s *service) ServerStream(req *pb.Req, stream grpc.ServerStreamingServer[pb.Resp]) error {
	return s.serve(stream.Context(), hauberk.ServerStream, func(v *serving) error {
		v.request(req)
		if err := v.openAndDelay(req); err != nil {
			return err
		}
		n := countOr(v.script, 3)
		if v.script.GetNoResponses() {
			n = 0
		}
		for i := range n {
			if err := v.respond(stream, fmt.Sprintf("echo:%s:%d", req.GetMsg(), i), i); err != nil {
				return err
			}
		}
		v.awaitCancel()
		if v.fail && v.script.GetFailAfter() >= n {
			return v.failure()
		}
		return nil
	})
}

// ClientStream answers the requests, joined by commas.
func (s *service) ClientStream(stream grpc.ClientStreamingServer[pb.Req, pb.Resp]) error {
	var resp *pb.Resp
	err := s.serve(stream.Context(), hauberk.ClientStream, func(v *serving) error {
		texts, err := v.collect(stream)
		if err != nil {
			return err
		}
		v.awaitCancel()
		v.delay(v.script.GetDelayMs())
		if v.fail {
			return v.failure()
		}
		resp = v.response(strings.Join(texts, ","), 0)
		return nil
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

// collect reads the requests of a ClientStream, as many as the script allows.
func (v *serving) collect(stream grpc.ClientStreamingServer[pb.Req, pb.Resp]) (texts []string, err error) {
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			v.settle()
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		v.request(req)
		if v.count == 1 {
			if err := v.open(req); err != nil {
				return nil, err
			}
			v.fail = v.fails.next(v.script)
		}
		texts = append(texts, req.GetMsg())
		if after := v.script.GetFailAfter(); v.fail && after > 0 && v.count >= after {
			return nil, v.failure()
		}
		if limit := v.script.GetReadLimit(); limit > 0 && v.count >= limit {
			return texts, nil
		}
	}
}

// Bidi answers "echo:" and the request, each count times; late, after the last.
func (s *service) Bidi(stream grpc.BidiStreamingServer[pb.Req, pb.Resp]) error {
	return s.serve(stream.Context(), hauberk.Bidi, func(v *serving) error {
		late, sent, err := v.echo(stream)
		if err != nil {
			return err
		}
		for i, msg := range late {
			if err := v.send(stream, "late:"+msg, sent+uint32(i)); err != nil {
				return err
			}
		}
		v.awaitCancel()
		if v.fail {
			return v.failure()
		}
		return nil
	})
}

// echo reads and answers the requests of a Bidi. It returns the requests to answer late, and the
// number of responses that it has sent.
func (v *serving) echo(stream grpc.BidiStreamingServer[pb.Req, pb.Resp]) (late []string, sent uint32, err error) {
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			v.settle()
			return late, sent, nil
		}
		if err != nil {
			return nil, sent, err
		}
		v.request(req)
		if v.count == 1 {
			if err := v.openAndDelay(req); err != nil {
				return nil, sent, err
			}
		}
		switch {
		case v.script.GetLate():
			late = append(late, req.GetMsg())
			continue
		case v.script.GetNoResponses():
			continue
		}
		for range countOr(v.script, 1) {
			if err := v.respond(stream, "echo:"+req.GetMsg(), sent); err != nil {
				return nil, sent, err
			}
			sent++
		}
		if limit := v.script.GetReadLimit(); limit > 0 && v.count >= limit {
			return late, sent, nil
		}
	}
}

func countOr(s *pb.Script, otherwise uint32) uint32 {
	if s.GetCount() > 0 {
		return s.GetCount()
	}
	return otherwise
}
