package deadline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// TestHealthWatch: the channel of a client with health checks stays READY behind a server that ends calls, unless a
// rule for exactly Health/Watch ends them.
func TestHealthWatch(t *testing.T) {
	end := deadline.Rule{Default: time.Second, Max: time.Minute, IdleTimeout: time.Second}
	by := func(methods ...string) deadline.Config {
		end := end
		end.Methods = methods
		return rules(end)
	}
	for name, c := range map[string]struct {
		config deadline.Config
		ends   bool
	}{
		"default":        {deadline.Config{Default: time.Second}, false},
		"cap":            {deadline.Config{Max: time.Second}, false},
		"idle":           {deadline.Config{IdleTimeout: time.Second}, false},
		"end early":      {deadline.Config{Max: time.Second, EndEarly: true}, false},
		"a quantile":     {deadline.Config{Max: time.Second, TypicalQuantile: 0.5}, false},
		"all methods":    {by("*"), false},
		"a package":      {by("grpc.*", "grpc.health.v1.*"), false},
		"the service":    {by("grpc.health.v1.Health/*"), false},
		"another method": {by("grpc.health.v1.Health/Check"), false},
		"the method":     {by("grpc.health.v1.Health/Watch"), true},
		"another setting of it": {rules(
			deadline.Rule{Methods: []string{"grpc.health.v1.Health/Watch"}, SendTimeout: time.Second},
			deadline.Rule{Methods: []string{"*"}, Max: time.Second},
		), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				policy := &hauberk.DescriptorPolicy{Methods: []hauberk.MethodPolicy{
					{Method: "grpc.health.v1.Health/Watch", Deadline: time.Second},
				}}
				chain := hauberk.Must(hauberk.New(deadline.New(c.config, deadline.WithPolicy(policy))))
				if left := timesUnready(t, chain); (left > 0) != c.ends {
					t.Errorf("the channel left READY %d times in ten minutes; ended %t", left, c.ends)
				}
			})
		})
	}
}

// timesUnready returns how often the channel of a client with health checks leaves READY in ten minutes.
func timesUnready(t *testing.T, server *hauberk.Chain) (times int) {
	t.Helper()
	service := health.NewServer()
	env := hauberktest.Start(t, hauberktest.Setup{
		Server:   server,
		Register: func(srv *hauberk.Server) { healthpb.RegisterHealthServer(srv, service) },
		DialOptions: []grpc.DialOption{grpc.WithDefaultServiceConfig(
			`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}`)},
	})
	defer service.Shutdown()
	env.Client.Connect()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // a channel without calls is idle after 30
	defer cancel()
	was := false
	for s := env.Client.GetState(); ; s = env.Client.GetState() {
		if was && s != connectivity.Ready {
			times++
		}
		was = s == connectivity.Ready
		if !env.Client.WaitForStateChange(ctx, s) {
			break
		}
	}
	_, err := healthpb.NewHealthClient(env.Conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	wantCode(t, err, codes.OK)
	return times
}
