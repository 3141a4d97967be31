package sidecar

import (
	"context"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestRestarts: etcd and the sidecar are killed and started again, while one client puts numbers and another one
// watches them. Puts fail only with UNAVAILABLE, the watch goes on and receives each revision once, and no put that has
// succeeded is missing.
func TestRestarts(t *testing.T) { inBoth(t, restarts) }

func restarts(t *testing.T, w *world) {
	t.Helper()
	writer, reader := w.client(t), w.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := reader.Watch(clientv3.WithRequireLeader(ctx), "number", clientv3.WithRev(1))

	written := make(chan int, 1)
	stop := make(chan struct{})
	var succeeded []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			call, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := writer.Put(call, "number", strconv.Itoa(i))
			cancel()
			switch code := status.Code(err); {
			case err == nil:
				succeeded = append(succeeded, strconv.Itoa(i))
				select {
				case written <- i:
				default:
				}
			case code == codes.Unavailable, call.Err() != nil:
			default:
				t.Errorf("put %d: %v", i, err)
			}
		}
	}()
	more := func() { // waits for puts that began after now
		for range 10 {
			select {
			case <-written:
			case <-ctx.Done():
				t.Fatal("no put succeeds")
			}
		}
	}
	more()
	for range 2 {
		w.etcd.kill()
		w.startEtcd(t)
		more()
		if w.sidecar != nil {
			w.sidecar.kill()
			w.startSidecar(t, w.addr)
			more()
		}
	}
	close(stop)
	<-done
	last := succeeded[len(succeeded)-1]
	revision, next := int64(0), 0
	for resp := range watch {
		if err := resp.Err(); err != nil {
			t.Fatalf("the watch ended with %v", err)
		}
		for _, ev := range resp.Events {
			if ev.Kv.GetModRevision() <= revision {
				t.Errorf("revision %d was received after %d", ev.Kv.GetModRevision(), revision)
			}
			revision = ev.Kv.GetModRevision()
			if string(ev.Kv.GetValue()) == succeeded[next] {
				next++
			}
			if string(ev.Kv.GetValue()) == last {
				if next != len(succeeded) {
					t.Errorf("of %d puts that succeeded %d were received", len(succeeded), next)
				}
				t.Logf("%d puts succeeded", len(succeeded))
				return
			}
		}
	}
	t.Error("the watch ended early")
}
