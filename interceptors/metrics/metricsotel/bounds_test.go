package metricsotel_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
)

// unknownMethods returns a function that serves a call of a method that the server does not have.
func unknownMethods(chain *hauberk.Chain) func(method string) error {
	serve := chain.StreamServerInterceptor()
	unimplemented := func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "unknown") }
	return func(method string) error {
		info := &grpc.StreamServerInfo{FullMethod: method, IsClientStream: true, IsServerStream: true}
		return serve(nil, &hauberktest.ServerStream{}, info, unimplemented)
	}
}

const limit = 50

// All unknown methods of a server share one series (X07). If a filter permits all names, their
// number is bounded.
func TestMethodsOfServersAreBounded(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []metricsotel.Option
		flood   int
		points  int
	}{
		{"other", nil, flood, 1},
		{"shown", []metricsotel.Option{metricsotel.WithGenericMethods(func(string) bool { return true })}, flood / 10, limit + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			provider := newRecorder(t)
			m := metricsotel.New(metricsotel.Config{MaxSeries: limit},
				append(test.options, metricsotel.WithMeterProvider(provider))...)
			call := unknownMethods(chainOf(t, m))
			for i := range test.flood {
				_ = call("/any.Service" + strconv.Itoa(i) + "/Method")
			}
			started, ended := provider.points(t, metricsotel.ServerCallStarted), provider.points(t, metricsotel.ServerCallDuration)
			if len(started) != test.points || len(ended) != test.points {
				t.Errorf("%d and %d points, want %d", len(started), len(ended), test.points)
			}
			others := strconv.Itoa(test.flood - test.points + 1)
			if started["method=other"] != others || ended["method=other status=UNIMPLEMENTED"] != others {
				t.Errorf("%s other started, %s ended, want %s",
					started["method=other"], ended["method=other status=UNIMPLEMENTED"], others)
			}
		})
	}
}

func TestMethodsOfClientsAreBounded(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   []grpc.CallOption
		points int
	}{{"static", []grpc.CallOption{grpc.StaticMethod()}, limit + 1}, {"generic", nil, 1}} {
		provider := newRecorder(t)
		m := metricsotel.New(metricsotel.Config{MaxSeries: limit}, metricsotel.WithMeterProvider(provider))
		call := called(chainOf(t, m), hauberktest.Conn{}, test.opts...)
		for i := range flood / 10 {
			_ = call(fmt.Sprintf("/any.Service%d/Method", i))
		}
		points := provider.points(t, metricsotel.ClientAttemptStarted)
		if len(points) != test.points || points["method=other target=other"] != strconv.Itoa(flood/10-test.points+1) {
			t.Errorf("%s: %d points, %s other", test.name, len(points), points["method=other target=other"])
		}
	}
}

func TestTargetsAreBounded(t *testing.T) {
	const targets = 12 * limit
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{MaxSeries: limit}, metricsotel.WithMeterProvider(provider))
	chain := chainOf(t, m, reject)
	for i := range targets {
		client, err := grpc.NewClient(fmt.Sprintf("passthrough:///host%d", i),
			append(chain.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second call adds no series
			_ = client.Invoke(t.Context(), "/s/m", request, request)
		}
		_ = client.Close()
	}
	points := provider.points(t, metricsotel.ClientAttemptStarted)
	if len(points) != limit+1 || points["method=other target=other"] != strconv.Itoa(2*(targets-limit)) ||
		points["method=other target=passthrough:///host7"] != "2" {
		t.Errorf("%d points: %v", len(points), points)
	}
}

// Names that are not valid as attribute values are Other.
func TestInvalidNames(t *testing.T) {
	long := "/s/" + strings.Repeat("m", 254)
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
	call := called(chainOf(t, m), hauberktest.Conn{}, grpc.StaticMethod())
	for _, method := range []string{long, "/s/\xff", "/\xfe/m", long[:256]} {
		_ = call(method)
	}
	points := provider.points(t, metricsotel.ClientAttemptStarted)
	if points["method=other target=other"] != "3" || points["method="+long[1:256]+" target=other"] != "1" || len(points) != 2 {
		t.Errorf("points %v", points)
	}
}

// Interceptors that send calls to another method, and new chains, make a new Method for each call.
// The series depend on the names only.
func TestRedirectedCalls(t *testing.T) {
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{MaxSeries: limit}, metricsotel.WithMeterProvider(provider))
	redirect := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := call.SetMethod("/shop.v2.Cart/Get"); err != nil {
			return err
		}
		return next(ctx, call)
	})
	call := called(chainOf(t, redirect, m), hauberktest.Conn{}, grpc.StaticMethod())
	const calls = 30 * limit
	for range calls {
		if err := call("/shop.v1.Cart/Get"); err != nil {
			t.Fatal(err)
		}
	}
	points := provider.points(t, metricsotel.ClientAttemptStarted)
	if len(points) != 1 || points["method=shop.v2.Cart/Get target=other"] != strconv.Itoa(calls) {
		t.Errorf("points %v", points)
	}
}

// Calls that create their series concurrently are all recorded.
func TestConcurrentCalls(t *testing.T) {
	provider := newRecorder(t)
	m := metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider))
	chain := chainOf(t, m)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			call := called(chain, hauberktest.Conn{}, grpc.StaticMethod())
			for i := range 100 {
				_ = call("/s/m" + strconv.Itoa(i%10))
			}
		})
	}
	running.Wait()
	for _, name := range []string{metricsotel.ClientAttemptStarted, metricsotel.ClientAttemptDuration} {
		points := provider.points(t, name)
		for attributes, n := range points {
			if n != "80" {
				t.Errorf("%s %s: %s, want 80", name, attributes, n)
			}
		}
		if len(points) != 10 {
			t.Errorf("%s: %d points, want 10", name, len(points))
		}
	}
}
