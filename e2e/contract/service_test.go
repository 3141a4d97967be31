package contract_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // for scripts with compression
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	pb "github.com/hauberk-rpc/hauberk/e2e/contract/oraclepb"
)

// service serves TestService and OtherService. The script in the first request of a call determines
// what the handler does.
type service struct {
	pb.UnimplementedTestServiceServer
	pb.UnimplementedOtherServiceServer

	name    string
	journal *journal
	state   *variables
	fails   *failures
}

// failures counts the calls with each fail_key.
type failures struct {
	mu   sync.Mutex
	seen map[string]uint32
}

// next reports whether the script's call is one that fails.
func (f *failures) next(s *pb.Script) bool {
	if s.GetFailCode() == 0 && !s.GetThrow() {
		return false
	}
	if s.GetFailTimes() == 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.seen[s.GetFailKey()]
	f.seen[s.GetFailKey()]++
	return n < s.GetFailTimes()
}

// register registers both services.
func register(srv grpc.ServiceRegistrar, j *journal, state *variables) {
	fails := &failures{seen: make(map[string]uint32)}
	pb.RegisterTestServiceServer(srv, &service{
		name: pb.TestService_ServiceDesc.ServiceName, journal: j, state: state, fails: fails,
	})
	pb.RegisterOtherServiceServer(srv, &service{
		name: pb.OtherService_ServiceDesc.ServiceName, journal: j, state: state, fails: fails,
	})
}

// serving is one run of a handler.
type serving struct {
	*service

	ctx    context.Context
	run    *invocation
	script *pb.Script
	fail   bool // the script asks for failures, and this call is one that fails
	count  uint32
	bytes  uint64
	sum    sum
}

// serve runs the body of a handler and records it in the journal.
func (s *service) serve(ctx context.Context, kind hauberk.Kind, body func(v *serving) error) error {
	call := hauberk.FromContext(ctx)
	md, _ := metadata.FromIncomingContext(ctx)
	v := &serving{service: s, ctx: ctx, script: &pb.Script{}, sum: newSum(), run: &invocation{
		call: idOf(ctx, call), Method: "/" + s.name + "/" + methodOf(kind), Kind: kindName(kind),
		Metadata: shown(md), State: s.state.of(call), Deadline: deadlineOf(ctx),
	}}
	s.journal.started(v.run)
	err := body(v)
	how := howEnded(ctx, err)
	s.journal.ended(v.run, how)
	if how == endedCancelled {
		return whyOver(ctx)
	}
	return err
}

// whyOver returns the status of a call that has ended for its client. grpcio's service polls every 10
// ms. So it finds that the deadline has passed even if the client, whose clock began earlier, ended
// the call a moment before.
func whyOver(ctx context.Context) error {
	const look = 10 * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= look {
		return grpcstatus.FromContextError(context.DeadlineExceeded).Err()
	}
	return grpcstatus.FromContextError(ctx.Err()).Err()
}

func deadlineOf(ctx context.Context) string {
	if _, ok := ctx.Deadline(); ok {
		return "set"
	}
	return "none"
}

const endedCancelled = "cancelled"

// howEnded returns how a handler ended, as grpcio's service does: if the call has ended for its
// client, it counts as cancelled, regardless of the handler's result.
func howEnded(ctx context.Context, err error) string {
	switch st, is := grpcstatus.FromError(err); {
	case ctx.Err() != nil:
		return endedCancelled
	case err == nil:
		return codeName(codes.OK)
	case is:
		return codeName(st.Code())
	default:
		return "raised"
	}
}

// begin runs the first part of the script of the first request, which sets metadata.
func (v *serving) begin(s *pb.Script) error {
	if s != nil {
		v.script = s
	}
	s = v.script
	if s.GetCompress() {
		if err := grpc.SetSendCompressor(v.ctx, "gzip"); err != nil {
			return err
		}
	}
	if len(s.GetTrailing()) > 0 {
		if err := grpc.SetTrailer(v.ctx, pairsOf(s.GetTrailing())); err != nil {
			return err
		}
	}
	if len(s.GetInitial()) > 0 || s.GetSendInitialNow() {
		return grpc.SendHeader(v.ctx, pairsOf(s.GetInitial()))
	}
	return nil
}

func pairsOf(headers []*pb.Header) metadata.MD {
	md := metadata.MD{}
	for _, h := range headers {
		md.Append(h.GetKey(), string(h.GetValue()))
	}
	return md
}

// request records a request that the handler has read.
func (v *serving) request(req *pb.Req) {
	v.journal.request(v.run, req.GetMsg())
	v.count++
	v.bytes += uint64(len(req.GetPayload()))
	v.sum.add(req.GetPayload())
}

// delay waits for the duration in the script, or until the call ends. It reports whether the call
// still runs. serve ends a call that has ended for its client accordingly.
func (v *serving) delay(ms uint32) bool { return wait(v.ctx, millis(float64(ms))) == nil }

// awaitCancel waits for the end of the call if the script requires it.
func (v *serving) awaitCancel() {
	const most = 10_000
	if v.script.GetWaitCancel() {
		v.delay(most)
	}
}

// settle waits, as grpcio's service does, until the cancellation of a call is known that was
// cancelled right after its last request.
func (v *serving) settle() {
	const least = 30
	v.delay(least)
}

// failure returns the error in the script.
func (v *serving) failure() error {
	s := v.script
	if s.GetThrow() {
		return errors.New(s.GetFailDetails())
	}
	st := &status.Status{Code: int32(s.GetFailCode()), Message: s.GetFailDetails()}
	if s.GetFailCode() > uint32(codes.Unauthenticated) {
		st.Code = int32(codes.Unknown)
	}
	var details status.Status
	if err := proto.Unmarshal(s.GetStatusDetailsBin(), &details); err == nil {
		st.Details = details.GetDetails()
	}
	return grpcstatus.ErrorProto(st)
}
