package descriptorset_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection"
	rpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk/internal/policypb"
	"github.com/hauberk-rpc/hauberk/policy/descriptorset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encoded returns the set of the shop, with or without its imports.
func encoded(tb testing.TB, imports bool) []byte {
	tb.Helper()
	f := policypb.File_internal_policypb_shop_proto
	set := &descriptorpb.FileDescriptorSet{}
	for i := range f.Imports().Len() {
		if in := f.Imports().Get(i); imports {
			for j := range in.Imports().Len() {
				set.File = append(set.File, protodesc.ToFileDescriptorProto(in.Imports().Get(j)))
			}
			set.File = append(set.File, protodesc.ToFileDescriptorProto(in))
		}
	}
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{
		File: append(set.File, protodesc.ToFileDescriptorProto(f)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// A set has the services of its files in order, their methods, and the types of their messages.
func TestParse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.binpb")
	if err := os.WriteFile(path, encoded(t, true), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := descriptorset.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(set); got != "Cart Catalog Plain" {
		t.Errorf("services %s", got)
	}
	for _, name := range []string{"hauberk.policy.test.v1.Cart/Get", "/hauberk.policy.test.v1.Cart/Get"} {
		if m := set.Method(name); m == nil || m.Input().FullName() != "google.protobuf.Empty" {
			t.Errorf("Method(%q) is %v", name, m)
		}
	}
	for _, name := range []string{"", "a.B/C", "hauberk.policy.test.v1.Cart", "google.protobuf.Empty/Get"} {
		if m := set.Method(name); m != nil {
			t.Errorf("Method(%q) is %v; want none", name, m)
		}
	}
	if _, err := set.Types().FindMessageByName("google.protobuf.Empty"); err != nil {
		t.Error(err)
	}
}

func names(set *descriptorset.Set) string {
	var all []string
	for _, s := range set.Services() {
		all = append(all, string(s.Name()))
	}
	return strings.Join(all, " ")
}

// What is no set has a clear error.
func TestParseErrors(t *testing.T) {
	message, err := proto.Marshal(&descriptorpb.FileDescriptorSet{
		File: []*descriptorpb.FileDescriptorProto{{Name: new("a.proto")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "it is not a set of descriptors; want the output of buf build -o"},
		{"text", []byte("syntax = \"proto3\";"), "it is not a set of descriptors"},
		{"without imports", encoded(t, false), "the descriptors are not complete"},
		{"no service", message, "the descriptors have no service"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := descriptorset.Parse(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want %q", err, test.want)
			}
		})
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := descriptorset.Read(path); err == nil {
			t.Errorf("Read(%q) has no error", path)
		}
	}
}

// No input makes Parse panic.
func FuzzParse(f *testing.F) {
	f.Add(encoded(f, true))
	f.Add(encoded(f, false))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := descriptorset.Parse(data)
		if err == nil && len(set.Services()) == 0 {
			t.Error("a set without services")
		}
	})
}

// serve serves in memory.
func serve(t *testing.T, register func(srv *grpc.Server)) *grpc.ClientConn {
	t.Helper()
	srv, lis := grpc.NewServer(), bufconn.Listen(1<<16)
	register(srv)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Reflect returns the services that a server serves, not all of their files.
func TestReflect(t *testing.T) {
	conn := serve(t, func(srv *grpc.Server) {
		policypb.RegisterCartServer(srv, policypb.UnimplementedCartServer{})
		reflection.Register(srv)
	})
	set, err := descriptorset.Reflect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(set); got != strings.Repeat("ServerReflection ", 2)+"Cart" {
		t.Errorf("services %s", got)
	}
}

// A server that has only reflection v1alpha, and names a service that has no descriptors, is asked likewise. The answer
// is equal to that of the same server, and not to that of another.
func TestReflectV1Alpha(t *testing.T) {
	register := func(register func(srv *grpc.Server)) *grpc.ClientConn {
		return serve(t, func(srv *grpc.Server) {
			register(srv)
			v1alpha.RegisterServerReflectionServer(srv, reflection.NewServer(reflection.ServerOptions{Services: ghost{srv}}))
		})
	}
	cart := register(func(srv *grpc.Server) { policypb.RegisterCartServer(srv, policypb.UnimplementedCartServer{}) })
	other := register(func(srv *grpc.Server) { policypb.RegisterCatalogServer(srv, policypb.UnimplementedCatalogServer{}) })
	var sets []*descriptorset.Set
	for _, conn := range []*grpc.ClientConn{cart, cart, other} {
		set, err := descriptorset.Reflect(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	if got := names(sets[0]); got != "ServerReflection Cart" {
		t.Errorf("services %s", got)
	}
	if !sets[0].Equal(sets[1]) || sets[0].Equal(sets[2]) {
		t.Error("equal sets are not, or others are")
	}
}

// ghost is a server that says that it has one more service.
type ghost struct{ *grpc.Server }

func (g ghost) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := g.Server.GetServiceInfo()
	all["ghost.v1.Ghost"] = grpc.ServiceInfo{}
	return all
}

// liar answers reflection with files that were not asked for, each with a further import.
type liar struct {
	rpb.UnimplementedServerReflectionServer
	next func(n int) *descriptorpb.FileDescriptorProto
}

func (l liar) ServerReflectionInfo(
	stream grpc.BidiStreamingServer[rpb.ServerReflectionRequest, rpb.ServerReflectionResponse],
) error {
	for n := 0; ; n++ {
		req, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client has ended the stream
		}
		resp := &rpb.ServerReflectionResponse{}
		if _, ok := req.GetMessageRequest().(*rpb.ServerReflectionRequest_ListServices); ok {
			resp.MessageResponse = &rpb.ServerReflectionResponse_ListServicesResponse{
				ListServicesResponse: &rpb.ListServiceResponse{Service: []*rpb.ServiceResponse{{Name: "a.B"}}},
			}
		} else {
			raw, err := proto.Marshal(l.next(n))
			if err != nil {
				return err
			}
			resp.MessageResponse = &rpb.ServerReflectionResponse_FileDescriptorResponse{
				FileDescriptorResponse: &rpb.FileDescriptorResponse{FileDescriptorProto: [][]byte{raw}},
			}
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// A server that does not reflect, or sends other files for ever, is an error.
func TestReflectErrors(t *testing.T) {
	file := func(name, imports string) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{Name: &name, Dependency: []string{imports}}
	}
	tests := []struct {
		name     string
		register func(srv *grpc.Server)
		want     string
	}{
		{"no reflection", func(*grpc.Server) {}, codes.Unimplemented.String()},
		{"another file", func(srv *grpc.Server) {
			rpb.RegisterServerReflectionServer(srv, liar{next: func(int) *descriptorpb.FileDescriptorProto {
				return file("a.proto", "b.proto")
			}})
		}, "the server has sent another file"},
		{"endless imports", func(srv *grpc.Server) {
			rpb.RegisterServerReflectionServer(srv, liar{next: func(n int) *descriptorpb.FileDescriptorProto {
				return file(strconv.Itoa(n), strconv.Itoa(n+1))
			}})
		}, "too many or too large files"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := descriptorset.Reflect(t.Context(), serve(t, test.register))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want %q", err, test.want)
			}
		})
	}
}
