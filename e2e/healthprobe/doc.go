// Package healthprobe is the module that pins the grpc_health_probe command for the tests of e2e/composition.
package healthprobe
