package audit

import (
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk/internal/policypb"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// Values that are no messages have no fields, and messages that are made of several descriptors have theirs.
func TestOddMessages(t *testing.T) {
	requests, err := newRequests([]Request{{Methods: []string{"*"}, Fields: []string{"text", "repository.storage_name"}}}, 32)
	if err != nil {
		t.Fatal(err)
	}
	secrets, _ := redact.New("Redact", nil, protoregistry.GlobalTypes, 256)
	for _, msg := range []any{(*policypb.GetRequest)(nil), new(policypb.GetRequest), nil, "text"} {
		if values, _ := requests[0].values(msg, secrets, 32); len(values) != 0 {
			t.Errorf("%T: %v", msg, values)
		}
	}
	of := new(policypb.GetRequest).ProtoReflect().Descriptor()
	m, repository := dynamicpb.NewMessage(of), (&policypb.Repository{StorageName: "nvme"}).ProtoReflect()
	other := dynamicpb.NewMessage(copied(t, of))
	for _, m := range []*dynamicpb.Message{m, other} {
		m.Set(m.Descriptor().Fields().ByName("repository"), protoreflect.ValueOfMessage(repository))
		if values, cut := requests[0].values(m, secrets, 32); values["repository.storage_name"] != "nvme" || cut {
			t.Errorf("%v, cut %t", values, cut)
		}
	}
}

// copied returns the descriptor of a message type of a file that was loaded again.
func copied(t *testing.T, of protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(of.ParentFile()), protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName(of.Name())
}
