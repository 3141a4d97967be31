package showcases_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/examples/showcases"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

func ExampleNewMember() {
	logged := make(chan string, 1)
	log := audit.SinkFunc(func(_ context.Context, r audit.Record) error {
		if r.Stage == audit.StageEnd && r.Request["phone"] != "" {
			logged <- fmt.Sprint(r.Method, " ", r.Request["name"], " ", r.Request["phone"], " ", r.Code)
		}
		return nil
	})
	checks := health.NewServer()
	const learns = "hauberk.examples.greeter.v1.Greeter/Greet"
	member, err := showcases.NewMember([]string{learns}, time.Nanosecond, time.Nanosecond, checks, log)
	greeter.Check(err)
	entered := make(chan struct{})
	server := greeter.ServeChain(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		req, err := s.Recv()
		switch {
		case err != nil:
			return err
		case req.GetName() == "old":
			return fmt.Errorf("read at 17: %w", showcases.ErrCompacted)
		case req.GetName() == "watch":
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return s.Send(&greeterpb.HelloReply{Text: "hello"})
	}}, member.Chain)
	client := server.Client(errs.New(errs.Config{}, showcases.MemberErrors))
	leader := with("x-require-leader", "true")

	printAll(leader, client) // of a learner without a leader
	greeter.Check(member.State.Set(serving.Serving))
	printAll(leader, client)
	greeter.Check(member.Leader.Set(serving.Serving))
	printAll(leader, client)

	for _, kind := range greeter.Kinds() {
		_, err := greeter.Call(context.Background(), client, kind, "old")
		fmt.Println(kind, hauberk.CodeOf(err), errors.Is(err, showcases.ErrCompacted))
	}
	_, err = client.Greet(leader, &greeterpb.HelloRequest{Name: "Ada", Phone: "555"})
	greeter.Check(err)
	fmt.Println(<-logged)

	watch := func() chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := greeter.Call(leader, client, hauberk.Bidi, "watch")
			ended <- err
		}()
		<-entered
		return ended
	}
	lost := watch()
	greeter.Check(member.Leader.Set(showcases.NoLeader))
	fmt.Println("watch:", greeter.Outcome(<-lost))

	greeter.Check(member.State.Set(showcases.Defrag))
	got, err := checks.Check(context.Background(), &healthpb.HealthCheckRequest{})
	greeter.Check(err)
	_, err = greeter.Call(context.Background(), client, hauberk.Unary, "Ada")
	fmt.Println("defrag:", got.GetStatus(), greeter.Outcome(err))

	greeter.Check(member.Leader.Set(serving.Serving))
	drained := watch()
	greeter.Check(server.Shutdown(context.Background()))
	fmt.Println("watch:", greeter.Outcome(<-drained))
	server.Stop()
	// Output:
	// unary [] Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// client_stream [] Unavailable "The server is in the state learner" SERVER_LEARNER
	// server_stream [] Unavailable "The server is in the state learner" SERVER_LEARNER
	// bidi_stream [] Unavailable "The server is in the state learner" SERVER_LEARNER
	// unary [] Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// client_stream [] Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// server_stream [] Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// bidi_stream [] Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// unary [hello] OK
	// client_stream [hello] OK
	// server_stream [hello] OK
	// bidi_stream [hello] OK
	// unary OutOfRange true
	// client_stream OutOfRange true
	// server_stream OutOfRange true
	// bidi_stream OutOfRange true
	// hauberk.examples.greeter.v1.Greeter/Greet Ada [redacted] OK
	// watch: Unavailable "The server is in the state no-leader" SERVER_NO_LEADER
	// defrag: NOT_SERVING OK
	// watch: Unavailable "The server is shutting down" SERVER_SHUTTING_DOWN
}
