package sidecar

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// TestKeys: puts, gets, transactions and deletes, and a range of 20 MB.
func TestKeys(t *testing.T) { inBoth(t, keys) }

func keys(t *testing.T, w *world) {
	t.Helper()
	cli, ctx := w.client(t), t.Context()
	if _, err := cli.Put(ctx, "small", "value"); err != nil {
		t.Fatal(err)
	}
	txn, err := cli.Txn(ctx).If(clientv3.Compare(clientv3.Value("small"), "=", "value")).
		Then(clientv3.OpPut("small", "changed"), clientv3.OpGet("small")).Else(clientv3.OpDelete("small")).Commit()
	if err != nil || !txn.Succeeded || string(txn.Responses[1].GetResponseRange().GetKvs()[0].GetValue()) != "changed" {
		t.Errorf("the transaction ended with %v, %v", txn, err)
	}
	sums := make(map[string][32]byte)
	for i := range 20 {
		key, value := fmt.Sprintf("large/%02d", i), bytes.Repeat([]byte{'a' + byte(i), byte(i)}, 500_000)
		sums[key] = sha256.Sum256(value)
		if _, err := cli.Put(ctx, key, string(value)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got, err := cli.Get(ctx, "large/", clientv3.WithPrefix())
			if err != nil || len(got.Kvs) != len(sums) {
				t.Errorf("the range ended with %v", err)
				return
			}
			for _, kv := range got.Kvs {
				if sha256.Sum256(kv.GetValue()) != sums[string(kv.GetKey())] {
					t.Errorf("%s has another value", kv.GetKey())
				}
			}
		})
	}
	all.Wait()
	if del, err := cli.Delete(ctx, "large/", clientv3.WithPrefix()); err != nil || del.Deleted != 20 {
		t.Errorf("deleted %v, %v", del, err)
	}
	// The status of etcd, which clientv3 recognizes by its text.
	_, err = cli.Put(ctx, "", "value")
	if !errors.Is(err, rpctypes.ErrEmptyKey) {
		t.Errorf("an empty key: %v", err)
	}
	if _, err = cli.Get(ctx, "small", clientv3.WithRev(1<<40)); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("a future revision: %v", err)
	}
	if _, err = cli.Put(ctx, "too large", strings.Repeat("x", 1_900_000)); !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		t.Errorf("a request of 1.9 MB: %v", err)
	}
}

// TestWatches: 150 watches, each on a stream of one connection, receive all events in order.
func TestWatches(t *testing.T) { inBoth(t, watches) }

func watches(t *testing.T, w *world) {
	t.Helper()
	const streams, puts = 150, 20
	cli, ctx := w.client(t), t.Context()
	var all sync.WaitGroup
	created := make(chan struct{}, streams)
	for i := range streams {
		all.Go(func() {
			watcher := clientv3.NewWatcher(cli)
			defer watcher.Close()
			next := 0
			for resp := range watcher.Watch(ctx, "watched/", clientv3.WithPrefix(), clientv3.WithCreatedNotify()) {
				if resp.Created {
					created <- struct{}{}
				}
				for _, ev := range resp.Events {
					if string(ev.Kv.GetValue()) != strconv.Itoa(next) {
						t.Errorf("watch %d received %s; want %d", i, ev.Kv.GetValue(), next)
					}
					next++
				}
				if err := resp.Err(); err != nil {
					t.Errorf("watch %d: %v", i, err)
				}
				if next == puts {
					return
				}
			}
			t.Errorf("watch %d ended after %d events", i, next)
		})
	}
	for range streams {
		<-created
	}
	for i := range puts {
		if _, err := cli.Put(ctx, fmt.Sprintf("watched/%d", i%3), strconv.Itoa(i)); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

// TestLeases: keys end with their leases, leases are kept alive, and one of ten sessions has a lock.
func TestLeases(t *testing.T) { inBoth(t, leases) }

func leases(t *testing.T, w *world) {
	t.Helper()
	cli, ctx := w.client(t), t.Context()
	lease, err := cli.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.Put(ctx, "leased", "value", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	alive, err := cli.KeepAlive(ctx, lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	if resp, ok := <-alive; !ok || resp.TTL != 60 {
		t.Errorf("kept alive: %v", resp)
	}
	for range 3 {
		if resp, err := cli.KeepAliveOnce(ctx, lease.ID); err != nil || resp.TTL != 60 {
			t.Errorf("kept alive once: %v, %v", resp, err)
		}
	}
	if _, err := cli.Revoke(ctx, lease.ID); err != nil {
		t.Error(err)
	}
	if got, err := cli.Get(ctx, "leased"); err != nil || got.Count != 0 {
		t.Errorf("after the end of the lease: %v, %v", got, err)
	}
	if _, err := cli.KeepAliveOnce(ctx, lease.ID); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		t.Errorf("a lease that has ended: %v", err)
	}

	var all sync.WaitGroup
	count := 0 // guarded by the lock in etcd
	for range 10 {
		all.Go(func() {
			session, err := concurrency.NewSession(cli)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = session.Close() }()
			lock := concurrency.NewMutex(session, "lock/")
			for range 3 {
				if err := lock.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				count++
				if err := lock.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if count != 30 {
		t.Errorf("the lock was held %d times, want 30", count)
	}
}

// TestSnapshot: a snapshot of more than 20 MB has the checksum that etcd appends, and etcdctl accepts it.
func TestSnapshot(t *testing.T) { inBoth(t, snapshot) }

func snapshot(t *testing.T, w *world) {
	t.Helper()
	cli, ctx := w.client(t), t.Context()
	for i := range 20 {
		if _, err := cli.Put(ctx, fmt.Sprint("key", i), strings.Repeat("v", 1_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := cli.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || len(data) < 20_000_000 {
		t.Fatalf("the snapshot has %d bytes: %v", len(data), err)
	}
	n := len(data) - sha256.Size
	if sum := sha256.Sum256(data[:n]); !bytes.Equal(sum[:], data[n:]) {
		t.Error("the snapshot has another checksum")
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	w.etcdctl(t, "snapshot", "save", file)
	if info, err := os.Stat(file); err != nil || info.Size() < 20_000_000 {
		t.Errorf("etcdctl saved %v, %v", info, err)
	}
}

// TestEtcdctl: the commands of etcdctl.
func TestEtcdctl(t *testing.T) { inBoth(t, commands) }

func commands(t *testing.T, w *world) {
	t.Helper()
	for _, test := range []struct{ args, want string }{
		{"put key value", "OK\n"},
		{"get key", "key\nvalue\n"},
		{"get --prefix k --keys-only --limit 1", "key\n"},
		{"del key", "1\n"},
		{"endpoint health", "is healthy"},
		{"member list", "one"},
		{"lease grant 60", "granted with TTL(60s)"},
		{"compaction 2", "compacted revision 2"},
		{"defrag", "Finished defragmenting"},
	} {
		if got := w.etcdctl(t, strings.Fields(test.args)...); !strings.Contains(got, test.want) {
			t.Errorf("etcdctl %s: %q, want %q", test.args, got, test.want)
		}
	}
}

// TestAuth: names and passwords, tokens in the metadata of calls, and permissions.
func TestAuth(t *testing.T) { inBoth(t, auth) }

func auth(t *testing.T, w *world) {
	t.Helper()
	cli, ctx := w.client(t), t.Context()
	_, err1 := cli.RoleAdd(ctx, "root")
	_, err2 := cli.RoleAdd(ctx, "reader")
	_, err3 := cli.RoleGrantPermission(ctx, "reader", "open/", clientv3.GetPrefixRangeEnd("open/"),
		clientv3.PermissionType(clientv3.PermRead))
	_, err4 := cli.UserAdd(ctx, "root", "secret")
	_, err5 := cli.UserAdd(ctx, "ann", "word")
	_, err6 := cli.UserGrantRole(ctx, "root", "root")
	_, err7 := cli.UserGrantRole(ctx, "ann", "reader")
	_, err8 := cli.Put(ctx, "open/key", "value")
	_, err9 := cli.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		t.Fatal(err)
	}
	as := func(name, password string) (*clientv3.Client, error) {
		return clientv3.New(clientv3.Config{
			Endpoints: []string{"http://" + w.addr}, Username: name, Password: password, Logger: zap.NewNop(),
		})
	}
	if cli, err := as("ann", "wrong"); !errors.Is(err, rpctypes.ErrAuthFailed) {
		t.Errorf("a wrong password: %v, %v", cli, err)
	}
	ann, err := as("ann", "word")
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	if got, err := ann.Get(ctx, "open/key"); err != nil || got.Count != 1 {
		t.Errorf("an allowed key: %v, %v", got, err)
	}
	for _, err := range []error{
		func() error { _, err := ann.Get(ctx, "closed"); return err }(),
		func() error { _, err := ann.Put(ctx, "open/key", "value"); return err }(),
	} {
		if !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("what ann may not do: %v", err)
		}
	}
	if got := w.etcdctl(t, "--user", "root:secret", "auth", "disable"); !strings.Contains(got, "Authentication Disabled") {
		t.Errorf("etcdctl auth disable: %q", got)
	}
}
