package validate_test

import (
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/validate/internal/checkpb"
)

// TestReportNilInMessage: a nil message inside a message that a client sends is judged as an empty one, and does not panic
// (bufbuild/protoc-gen-validate#639, bufbuild/protovalidate#228). What arrives with grpc-go is an empty message.
func TestReportNilInMessage(t *testing.T) {
	hauberktest.CheckLeaks(t)
	srv := new(service)
	env := hauberktest.Start(t, hauberktest.Setup{
		Client:   hauberk.Must(hauberk.New(validate.New(validate.Config{Sent: true}))),
		Register: func(s *hauberk.Server) { checkpb.RegisterCheckServiceServer(s, srv) },
	})
	client := checkpb.NewCheckServiceClient(env.Conn)
	for name, order := range map[string]*checkpb.Order{
		"a list of nil": {Id: "a", Items: []*checkpb.Item{nil}},
		"nil in a list": {Id: "a", Items: []*checkpb.Item{{Sku: "a", Count: 1}, nil}},
		"a nil message": nil,
	} {
		data, err := proto.Marshal(order)
		if err != nil {
			t.Fatal(err)
		}
		sent := new(checkpb.Order)
		if err := proto.Unmarshal(data, sent); err != nil {
			t.Fatal(err)
		}
		if protovalidate.Validate(sent) == nil {
			t.Fatalf("%s: what would arrive is valid", name)
		}
		if _, err := client.Unary(t.Context(), order); status.Code(err) != codes.InvalidArgument || hauberk.Reason(err) != validate.ReasonInvalidRequest {
			t.Errorf("%s: %v; want INVALID_ARGUMENT", name, err)
		}
	}
	if seen := srv.seen(); seen != "" {
		t.Errorf("%q reached the service", seen)
	}
}
