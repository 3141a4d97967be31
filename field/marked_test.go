package field_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// repositoriesServer answers each call, of each kind.
type repositoriesServer struct {
	policypb.UnimplementedRepositoriesServer
}

func (repositoriesServer) Get(context.Context, *policypb.GetRequest) (*policypb.Repository, error) {
	return new(policypb.Repository), nil
}

func (repositoriesServer) List(_ *policypb.ListRequest, s grpc.ServerStreamingServer[policypb.Repository]) error {
	return s.Send(new(policypb.Repository))
}

func (repositoriesServer) Push(s grpc.ClientStreamingServer[policypb.GetRequest, policypb.Repository]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return s.SendAndClose(new(policypb.Repository))
}

func (repositoriesServer) Sync(s grpc.BidiStreamingServer[policypb.GetRequest, policypb.Repository]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return s.Send(new(policypb.Repository))
}

// callRepositories makes a call of a kind, with one request for a storage.
func callRepositories(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind, storage string) error {
	var request proto.Message = &policypb.GetRequest{Repository: &policypb.Repository{StorageName: storage}}
	method := map[hauberk.Kind]string{hauberk.Unary: "Get", hauberk.ServerStream: "List", hauberk.ClientStream: "Push", hauberk.Bidi: "Sync"}[kind]
	full := "/hauberk.policy.test.v1.Repositories/" + method
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, full, request, new(policypb.Repository))
	}
	if kind == hauberk.ServerStream {
		request = &policypb.ListRequest{Storage: storage}
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, full)
	if err != nil {
		return err
	}
	if err = stream.SendMsg(request); err == nil {
		err = stream.CloseSend()
	}
	if got := stream.RecvMsg(new(policypb.Repository)); got != nil {
		return got
	}
	return err
}

// A marked field is the key of a limit and state in calls of each kind on both sides, at the path that its request has.
func TestMarked(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		storage := field.Marked("storage")
		if storage.Name() != "storage" || storage.Err() != nil {
			t.Fatal(storage.Name(), storage.Err())
		}
		var mu sync.Mutex
		var seen []string
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			mu.Lock()
			seen = append(seen, projectKey.Or(ctx, "none"))
			mu.Unlock()
			return next(ctx, call)
		})
		chain := hauberk.Must(hauberk.New(field.Set(projectKey, storage),
			ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.All(storage.Key(), callkey.State(projectKey))}), look))
		empty := hauberk.Must(hauberk.New())
		server, client := chain, empty
		if c.Side == hauberk.ClientSide {
			server, client = empty, chain
		}
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := server.NewServer()
		policypb.RegisterRepositoriesServer(srv, repositoriesServer{})
		stop := hauberktest.Serve(t, srv, lis)
		defer stop()
		conn, err := grpc.NewClient("passthrough:///"+lis.Addr().String(),
			client.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, call := range []struct {
			storage string
			want    codes.Code
			reason  string
		}{
			{"nvme", codes.OK, ""},
			{"tape", codes.OK, ""},
			{"nvme", codes.ResourceExhausted, ratelimit.ReasonLimited},
			{"", codes.InvalidArgument, field.ReasonMissing},
		} {
			err := callRepositories(t.Context(), conn, c.Kind, call.storage)
			if status.Code(err) != call.want || hauberk.Reason(err) != call.reason {
				t.Errorf("%s: %v; want %v, %s", call.storage, err, call.want, call.reason)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(seen, " "); got != "nvme tape" {
			t.Errorf("the state was %s", got)
		}
	})
}

// A mark that does not fit the requests is reported when the server starts, and by Check.
func TestMarkedCheck(t *testing.T) {
	service := policypb.File_internal_policypb_repo_proto.Services().ByName("Repositories")
	for name, test := range map[string]struct {
		field field.Field
		want  string // in the error; "" for none
	}{
		"fits":         {field.Marked("storage"), ""},
		"an optional":  {field.Marked("tenant").Optional(), ""},
		"not in all":   {field.Marked("tenant"), `the requests of hauberk.policy.test.v1.Repositories/List do not have a field with the option (hauberk.v1.key) = "tenant"`},
		"in none":      {field.Marked("storge"), `no request has the field: hauberk.policy.test.v1.Repositories/Get: there is no field with the option (hauberk.v1.key) = "storge"`},
		"a bad name":   {field.Marked("Storage"), `field.Marked: the name of the option (hauberk.v1.key) is "Storage"`},
		"an empty one": {field.Marked(""), "want 1 to 64 lower-case letters"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := hauberk.Must(hauberk.New()).NewServer()
			if chain, err := hauberk.New(field.Set(projectKey, test.field)); err == nil {
				srv = chain.NewServer()
			} else if test.field.Err() == nil {
				t.Fatal(err)
			}
			policypb.RegisterRepositoriesServer(srv, repositoriesServer{})
			for _, err := range []error{test.field.Check(service), srv.Coverage().Err()} {
				if test.field.Err() != nil && err == nil {
					continue // hauberk.New has reported it
				}
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v; want %q", err, test.want)
				}
			}
			srv.Stop()
		})
	}
}

// A field that the .proto file marks is at another path in each request.
func ExampleMarked() {
	storage := field.Marked("storage")
	service := policypb.File_internal_policypb_repo_proto.Services().ByName("Repositories")
	fmt.Println(storage.Check(service))
	fmt.Println(storage.OfMessage(&policypb.GetRequest{Repository: &policypb.Repository{StorageName: "nvme"}}))
	fmt.Println(storage.OfMessage(&policypb.ListRequest{Storage: "tape"}))
	// Output:
	// <nil>
	// nvme true
	// tape true
}
