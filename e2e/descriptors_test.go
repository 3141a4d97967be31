package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// descriptors writes the descriptors of the test service, and returns the path.
func descriptors(t *testing.T) string {
	t.Helper()
	file := testgrpc.File_grpc_testing_test_proto
	set := &descriptorpb.FileDescriptorSet{}
	for i := range file.Imports().Len() {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file.Imports().Get(i).FileDescriptor))
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.binpb")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// With descriptors a method that the upstream has never answered has its name in the metrics, and a pattern that matches
// no method is an error at the start.
func TestDescriptors(t *testing.T) {
	file := descriptors(t)
	gate, address := sidecar(t, io.Discard, "127.0.0.1:1", "--telemetry", "127.0.0.1:0", "--descriptors", file)
	metrics := gate.says(t, `^hauberk: metrics at (\S+)$`)
	if _, err := dial(t, address).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Fatalf("without an upstream a call ends with %v", err)
	}
	resp, err := http.Get(metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), `grpc_method="UnaryCall",grpc_service="grpc.testing.TestService"`) {
		t.Errorf("%v; the metrics have no UnaryCall", err)
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	path := policyFile(t, "    methods: shop.v1.Cart/Get\npublic: grpc.testing.TestService/*\n")
	bad := start(t, io.Discard, binary, "run", "-c", path, "--descriptors", file)
	bad.says(t, `policy\.yaml:\d+:\d+: (.*shop\.v1\.Cart/Get.*)`)
	if err := bad.wait(t); err == nil {
		t.Error("the sidecar runs with a pattern that matches no method")
	}
}
