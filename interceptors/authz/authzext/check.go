package authzext

import (
	"context"
	"crypto/sha256"
	"errors"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/flight"
	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// hash is the SHA-256 of a check.
type hash = [sha256.Size]byte

// sharedCheck is a check that several calls wait for. Its owner's mutex guards waiting.
type sharedCheck struct {
	*flight.Flight[*answer]

	waiting int
	cancel  context.CancelFunc
}

// ask returns the service's answer about a call. Its error is a failure, a rejection, why the
// request could not be read, or that of ctx.
func (x *Interceptor) ask(ctx context.Context, call *hauberk.Call, md metadata.MD) (*answer, error) {
	req, err := x.request(ctx, call, md)
	if err != nil {
		return nil, err
	}
	now := x.now()
	if x.kept == nil || !call.Method().Known() { // clients can invent any number of methods
		req.Attributes.Request.Time = timestamppb.New(now)
		return x.checkNow(ctx, req)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, failed("the check cannot be encoded: %w", err)
	}
	key := sha256.Sum256(encoded)
	for _, kept := range []*tokencache.Cache[hash, *answer]{x.kept, x.denials} {
		if a, ok := kept.Get(key, now); ok {
			return a, nil
		}
	}
	req.Attributes.Request.Time = timestamppb.New(now)
	return x.checkShared(ctx, key, req)
}

// checkNow asks the service for one call.
//
// The check has its own deadline, and is cancelled with the call. It does not inherit the call's
// deadline: a check that fails by a short deadline, which the client chooses, would look like a
// service that does not answer in time.
func (x *Interceptor) checkNow(ctx context.Context, req *authv3.CheckRequest) (*answer, error) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.config.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	a, err := x.check(own, req)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a, err
}

// checkShared waits for the check of a key that is under way, or begins one. It ends early when
// no call waits for it. It has none of the values of a call's context, since what interceptors of the
// connection would send from there is not part of the key.
func (x *Interceptor) checkShared(ctx context.Context, key hash, req *authv3.CheckRequest) (*answer, error) {
	s := x.join(key, req)
	defer x.leave(key, s)
	return s.Wait(ctx)
}

func (x *Interceptor) join(key hash, req *authv3.CheckRequest) *sharedCheck {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.asking[key]
	if s == nil {
		var ctx context.Context
		s = &sharedCheck{Flight: flight.New[*answer]()}
		ctx, s.cancel = context.WithTimeout(context.Background(), x.config.Timeout)
		x.asking[key] = s
		go s.Run(func() (*answer, error) { return x.check(ctx, req) },
			func(how string) error { return failed("its connection %s", how) },
			func(a *answer, err error) { x.land(key, s, a, err) })
	}
	s.waiting++
	return s
}

// leave ends the waiting of a call.
func (x *Interceptor) leave(key hash, s *sharedCheck) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s.waiting--
	if s.waiting == 0 {
		s.cancel()
		x.forget(key, s)
	}
}

// land ends a check.
func (x *Interceptor) land(key hash, s *sharedCheck, a *answer, err error) {
	if err == nil && a.keepable() {
		kept := x.kept
		if a.denied != nil {
			kept = x.denials
		}
		kept.Put(key, a, x.now().Add(x.config.CacheFor))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(key, s)
}

// forget removes a check, unless another has replaced it. mu is locked.
func (x *Interceptor) forget(key hash, s *sharedCheck) {
	if x.asking[key] == s {
		delete(x.asking, key)
	}
}

// check makes one request to the service.
func (x *Interceptor) check(ctx context.Context, req *authv3.CheckRequest) (*answer, error) {
	resp, err := x.client.Check(ctx, req)
	if err != nil {
		f := failed("%w", err)
		code := status.Code(err)
		f.opens = code == codes.Unavailable || code == codes.DeadlineExceeded ||
			errors.Is(err, context.DeadlineExceeded)
		return nil, f
	}
	return x.answerOf(resp)
}
