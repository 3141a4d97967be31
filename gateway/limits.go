package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway/internal/frametransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/grpctransport"
	"github.com/hauberk-rpc/hauberk/gateway/internal/h2"
	"github.com/hauberk-rpc/hauberk/gateway/internal/limits"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// The default limits of a [Config].
const (
	DefaultMaxMessageSize            = 16<<20 + 64<<10 // bytes: a payload of 16 MiB, and 64 KiB for other fields
	DefaultMaxHeaderListSize         = 16 << 10        // bytes
	DefaultMaxUpstreamHeaderListSize = 256 << 10       // bytes
	DefaultMaxConcurrentStreams      = 1000            // calls per connection
	DefaultMaxConnections            = 10_000
	DefaultMaxHandshakes             = 1000
	DefaultMaxConnectionIdle         = time.Hour
	DefaultMinPingInterval           = 5 * time.Second
	DefaultHandshakeTimeout          = 20 * time.Second
	DefaultFrameTimeout              = 20 * time.Second
	DefaultMessageTimeout            = 20 * time.Second
)

// ReasonMemory is the reason of calls that were rejected because of MaxMemory.
const ReasonMemory = "MEMORY"

// Option is an option of [New].
type Option func(*limits.Recorder)

// WithLogger makes the gateway log to logger when a limit is reached, at most once a minute for
// each limit, with the number of times. Without it nothing is logged.
func WithLogger(logger *slog.Logger) Option { return func(r *limits.Recorder) { r.Logger = logger } }

func checkLimit(name string, value int) error {
	if value < 0 || value > math.MaxInt32 {
		return fmt.Errorf("gateway: %s is %d; want 1 to %d, or 0 for the default", name, value, math.MaxInt32)
	}
	return nil
}

func checkTime(name string, value time.Duration) error {
	if value < 0 {
		return fmt.Errorf("gateway: %s is %v; want a positive time, or 0 for the default", name, value)
	}
	return nil
}

// checkLimits returns what is wrong with the limits.
func (c Config) checkLimits() error {
	errs := []error{
		checkLimit("MaxMessageSize", c.MaxMessageSize),
		checkLimit("MaxHeaderListSize", c.MaxHeaderListSize),
		checkLimit("MaxUpstreamHeaderListSize", c.MaxUpstreamHeaderListSize),
		checkLimit("MaxConcurrentStreams", c.MaxConcurrentStreams),
		checkLimit("MaxConnections", c.MaxConnections),
		checkLimit("MaxHandshakes", c.MaxHandshakes),
		checkTime("MaxConnectionAge", c.MaxConnectionAge),
		checkTime("MaxConnectionAgeGrace", c.MaxConnectionAgeGrace),
		checkTime("MaxConnectionIdle", c.MaxConnectionIdle),
		checkTime("MinPingInterval", c.MinPingInterval),
		checkLimit("MaxSettingsRate", c.MaxSettingsRate),
		checkLimit("MaxResetRate", c.MaxResetRate),
		checkLimit("MaxEmptyFrameRate", c.MaxEmptyFrameRate),
		checkTime("HandshakeTimeout", c.HandshakeTimeout),
		checkTime("FrameTimeout", c.FrameTimeout),
		checkTime("MessageTimeout", c.MessageTimeout),
		checkTime("FirstByteTimeout", c.FirstByteTimeout),
	}
	if c.MaxMemory < 0 {
		errs = append(errs, fmt.Errorf(
			"gateway: MaxMemory is %d; want a positive number of bytes, or 0 for no limit", c.MaxMemory))
	}
	if c.MaxConnectionAgeGrace > 0 && c.MaxConnectionAge == 0 {
		errs = append(errs, errors.New("gateway: MaxConnectionAgeGrace is set without MaxConnectionAge; want both"))
	}
	if c.Transport != TransportGRPC {
		return errors.Join(errs...)
	}
	for name, set := range map[string]bool{
		"MaxSettingsRate": c.MaxSettingsRate != 0, "MaxResetRate": c.MaxResetRate != 0,
		"MaxEmptyFrameRate": c.MaxEmptyFrameRate != 0, "FrameTimeout": c.FrameTimeout != 0,
		"MessageTimeout": c.MessageTimeout != 0, "FirstByteTimeout": c.FirstByteTimeout != 0,
		"MaxHandshakes": c.MaxHandshakes != 0,
	} {
		if set {
			errs = append(errs, fmt.Errorf("gateway: %s is set with the transport %q; want %q, which alone has it",
				name, TransportGRPC, TransportFrames))
		}
	}
	return errors.Join(errs...)
}

func (c Config) grpc(rec *limits.Recorder) grpctransport.Limits {
	const streams = 100 // more than that costs grpc-go much memory
	return grpctransport.Limits{
		MessageSize:            cmp.Or(c.MaxMessageSize, DefaultMaxMessageSize),
		HeaderListSize:         uint32(cmp.Or(c.MaxHeaderListSize, DefaultMaxHeaderListSize)),
		UpstreamHeaderListSize: uint32(cmp.Or(c.MaxUpstreamHeaderListSize, DefaultMaxUpstreamHeaderListSize)),
		Streams:                uint32(cmp.Or(c.MaxConcurrentStreams, streams)),
		Conns:                  cmp.Or(c.MaxConnections, DefaultMaxConnections),
		Age:                    c.MaxConnectionAge,
		Grace:                  c.MaxConnectionAgeGrace,
		Idle:                   cmp.Or(c.MaxConnectionIdle, DefaultMaxConnectionIdle),
		MinPing:                cmp.Or(c.MinPingInterval, DefaultMinPingInterval),
		Handshake:              cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout),
		Recorder:               rec,
	}
}

func (c Config) frames(rec *limits.Recorder, memory *limits.Gauge) frametransport.Config {
	config := frametransport.Config{
		MessageSize: cmp.Or(c.MaxMessageSize, DefaultMaxMessageSize),
		Clients: h2.Config{
			HeaderListSize:   uint32(cmp.Or(c.MaxHeaderListSize, DefaultMaxHeaderListSize)),
			MaxStreams:       uint32(cmp.Or(c.MaxConcurrentStreams, DefaultMaxConcurrentStreams)),
			SettingsRate:     c.MaxSettingsRate,
			ResetRate:        c.MaxResetRate,
			EmptyRate:        c.MaxEmptyFrameRate,
			MinPing:          cmp.Or(c.MinPingInterval, DefaultMinPingInterval),
			HandshakeTimeout: cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout),
			FrameTimeout:     cmp.Or(c.FrameTimeout, DefaultFrameTimeout),
		},
		Upstream: h2.Config{
			HeaderListSize: uint32(cmp.Or(c.MaxUpstreamHeaderListSize, DefaultMaxUpstreamHeaderListSize)),
		},
		Conns:       cmp.Or(c.MaxConnections, DefaultMaxConnections),
		Handshakes:  cmp.Or(c.MaxHandshakes, DefaultMaxHandshakes),
		Age:         c.MaxConnectionAge,
		Grace:       c.MaxConnectionAgeGrace,
		Idle:        cmp.Or(c.MaxConnectionIdle, DefaultMaxConnectionIdle),
		MessageTime: cmp.Or(c.MessageTimeout, DefaultMessageTimeout),
		FirstByte:   c.FirstByteTimeout,
		Limits:      rec,
	}
	if memory != nil {
		config.Full = memory.Full
	}
	return config
}

func (c Config) memory() *limits.Gauge {
	if c.MaxMemory == 0 {
		return nil
	}
	return limits.NewGauge(c.MaxMemory)
}

// shed returns the status of a call that is rejected for want of memory, or nil.
func (g *Gateway) shed(in transport.Inbound) *transport.Status {
	if g.memory == nil || !g.memory.Full() {
		return nil
	}
	g.limits.Met(limits.Memory, limits.Peer(in.Context()))
	st := statusOf(hauberk.Reject(codes.Unavailable, ReasonMemory, "the gateway is short of memory"), nil)
	return &st
}

// Measurements returns how often each limit was met, as gateway_limits_total by limit, and the
// memory that the process uses, as gateway_memory_bytes. With TransportGRPC only the limits of
// messages and memory are counted; grpc-go does not report the others. Safe for concurrent use.
func (g *Gateway) Measurements() []hauberk.Measurement {
	all := []hauberk.Measurement{{
		Name: "gateway_memory_bytes", Value: float64(limits.InUse()),
		Help: "Bytes of memory that the process uses, as Config.MaxMemory counts them.",
	}}
	for limit, n := range g.limits.Counts {
		all = append(all, hauberk.Measurement{
			Name: "gateway_limits_total", Counter: true, LabelName: "limit", LabelValue: limit, Value: float64(n),
			Help: "Calls and connections that have met a limit, by limit.",
		})
	}
	return all
}
