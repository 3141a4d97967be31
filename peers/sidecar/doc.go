// Package sidecar tests the sidecar, as built, between programs of other projects: etcd and its clients clientv3 and
// etcdctl, and grpc-js. It contains only tests. The tests of etcd make the same calls without the sidecar, too. Run it
// with "make peers" from the project's root. It needs node and npm.
//
// It is a separate module, since it takes minutes to compile.
package sidecar
