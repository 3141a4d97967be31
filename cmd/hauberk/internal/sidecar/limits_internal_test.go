package sidecar

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/hauberk-rpc/hauberk/gateway"
)

// Each limit of the gateway is a flag.
func TestLimitFlags(t *testing.T) {
	var l limitFlags
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	l.add(flags)
	if err := flags.Parse(strings.Fields(`--max-message-size 1MiB --max-header-size 8KiB --max-upstream-header-size 128KiB
		--max-streams 7 --max-connections 8 --max-handshakes 11 --max-connection-age 1h --max-connection-age-grace 1m --max-connection-idle 2h
		--min-ping-interval 3s --max-settings-rate 4 --max-reset-rate 5 --max-empty-frame-rate 6 --handshake-timeout 7s
		--frame-timeout 8s --message-timeout 9s --first-byte-timeout 10s --max-memory 512MiB`)); err != nil {
		t.Fatal(err)
	}
	var got gateway.Config
	l.apply(&got)
	want := gateway.Config{
		MaxMessageSize: 1 << 20, MaxHeaderListSize: 8 << 10, MaxUpstreamHeaderListSize: 128 << 10,
		MaxConcurrentStreams: 7, MaxConnections: 8, MaxHandshakes: 11, MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute,
		MaxConnectionIdle: 2 * time.Hour, MinPingInterval: 3 * time.Second, MaxSettingsRate: 4, MaxResetRate: 5,
		MaxEmptyFrameRate: 6, HandshakeTimeout: 7 * time.Second, FrameTimeout: 8 * time.Second,
		MessageTimeout: 9 * time.Second, FirstByteTimeout: 10 * time.Second, MaxMemory: 512 << 20,
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("the flags set %+v, want %+v", got, want)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			t.Errorf("the test does not set --%s", f.Name)
		}
	})
}

// Sizes have a unit, and memory can be a percentage of what the cgroup permits.
func TestSizes(t *testing.T) {
	for text, want := range map[string]size{"16KiB": 16 << 10, "1MiB": 1 << 20, "17": 17, "2kB": 2000} {
		var s size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "0", "3GiB", "1KiBs"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
	for text, want := range map[string]int64{"0": 0, "512MiB": 512 << 20, "8GiB": 8 << 30} {
		var m memory
		if err := m.Set(text); err != nil || m.limit() != want || m.String() != text {
			t.Errorf("%q is %d, %v; want %d", text, m.limit(), err, want)
		}
	}
	for _, text := range []string{"", "x", "0%", "101%", "x%", "-1"} {
		var m memory
		if err := m.Set(text); err == nil {
			t.Errorf("%q is %d", text, m.limit())
		}
	}
	var unset memory
	if got, want := unset.limit(), int64(float64(cgroupLimit())*0.75); got != want {
		t.Errorf("the default is %d, want %d", got, want)
	}
}

// The metrics have each limit, and the memory in use.
func TestLimitMetrics(t *testing.T) {
	g, err := gateway.New(gateway.Config{Upstream: "127.0.0.1:1", MessageTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(collector{g.Measurements}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	if name, n := families[0].GetName(), len(families[0].GetMetric()); name != "hauberk_gateway_limits_total" || n < 15 {
		t.Errorf("%s has %d metrics", name, n)
	}
}
