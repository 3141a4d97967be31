package cache

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// refresh makes a call on another goroutine that replaces a stale answer, unless one runs for the
// key or too many run.
func (x *Interceptor) refresh(ctx context.Context, call *hauberk.Call, next hauberk.Next, key answerkey.Key) {
	inside, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.config.RefreshTimeout)
	if !x.begin(key.Whole, cancel) {
		cancel()
		return
	}
	inside, _ = pushback.Collect(inside) // the caller has its answer
	inside, copied, err := call.Detach(inside)
	if err != nil { // the request was read, so that it can be detached
		cancel()
		x.done(key.Whole)
		return
	}
	_, known := hauberk.IdentityKey.Get(call)
	epoch := x.epoch.Load()
	go func() {
		defer x.done(key.Whole)
		defer cancel()
		err := hauberk.ErrUnwound
		defer func() { x.refreshed(key, copied, epoch, known, err) }() // also if the goroutine ends
		err = x.run(func() error { return next(inside, copied) })
	}()
}

// refreshed replaces a stale answer by the outcome of its refresh.
func (x *Interceptor) refreshed(key answerkey.Key, copied *hauberk.Call, epoch uint64, known bool, err error) {
	if err == nil {
		x.counts.refreshed.Add(1)
		x.keep(key, copied, epoch, known)
		return
	}
	x.counts.failed.Add(1)
	if !passes(hauberk.CodeOf(err)) {
		x.store.Remove(key.Whole, func(*answer) bool { return true })
	}
}

// run makes the call of a refresh. A panic that no Guard of the chain has recovered, or the end of the
// goroutine, is an error.
func (x *Interceptor) run(call func() error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		how := any("runtime.Goexit")
		if v := recover(); v != nil {
			how = v
		}
		x.log.Error("cache: a refresh panicked", "panic", fmt.Sprint(how))
		err = hauberk.ErrUnwound
	}()
	err = call()
	returned = true
	return err
}

// passes reports whether a failure says nothing about the answer.
func passes(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Aborted:
		return true
	default:
		return false
	}
}

// begin reports whether a refresh of a key may run, and counts it.
func (x *Interceptor) begin(key keySum, cancel context.CancelFunc) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, runs := x.refreshes[key]
	if x.closed || runs || len(x.refreshes) >= x.config.MaxRefreshes {
		return false
	}
	x.refreshes[key] = cancel
	x.running.Add(1)
	return true
}

// done ends a refresh.
func (x *Interceptor) done(key keySum) {
	x.mu.Lock()
	delete(x.refreshes, key)
	x.mu.Unlock()
	x.running.Done()
}

func (x *Interceptor) isClosed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closed
}

// Close cancels the refreshes that run and waits until they have ended. After that the interceptor
// works without stale answers. It may be called again.
func (x *Interceptor) Close() {
	x.mu.Lock()
	x.closed = true
	for _, cancel := range x.refreshes {
		cancel()
	}
	x.mu.Unlock()
	x.running.Wait()
}
